/** The layout of a base checkpoint from the header of its safetensors file, without reading the weights. */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';

import { GraftError } from '@graft/core/error';
import { canonicalLayout, layoutOf, type Layout } from '@graft/core/layout';
import { limits } from '@graft/core/limits';
import { z } from 'zod';

/** The one entry of a header that is no tensor. */
const metadataKey = '__metadata__';

const entrySchema = z.object({
  dtype: z.enum(['F32', 'F16']),
  shape: z.array(z.int().min(0)).max(16),
});

/**
 * The layout of all tensors of the file, which are the trainable ones.
 * Throws PLAN_REFUSED where the file is no checkpoint, or its layout has another hash than the plan says.
 */
export async function readBaseLayout(file: string, layoutHash: string): Promise<Layout> {
  const layout = layoutOf(Object.entries(await readHeader(file)).map(([name, { shape }]) => [name, shape] as const));
  checkLayout(layout, layoutHash);
  if (layout.length > limits.updateParameters) {
    throw refused(`the base has ${layout.length} parameters, the limit is ${limits.updateParameters}`);
  }
  return layout;
}

/** Throws PLAN_REFUSED where the layout's hash is not the plan's. */
export function checkLayout(layout: Layout, layoutHash: string): void {
  const own = createHash('sha256').update(canonicalLayout(layout)).digest('hex');
  if (own !== layoutHash) throw refused(`the base's layout has hash ${own}, the plan says ${layoutHash}`);
}

async function readHeader(file: string): Promise<Record<string, z.infer<typeof entrySchema>>> {
  const handle = await open(file, 'r');
  try {
    const prefix = Buffer.alloc(8);
    const { bytesRead } = await handle.read(prefix, 0, 8, 0);
    const length = bytesRead === 8 ? Number(prefix.readBigUInt64LE()) : -1;
    if (length < 2 || length > limits.safetensorsHeaderBytes) {
      throw refused(`the base has a header of ${length} bytes, the limit is ${limits.safetensorsHeaderBytes}`);
    }
    const header = Buffer.alloc(length);
    await handle.read(header, 0, length, 8);
    return parseHeader(header.toString('utf8'));
  } finally {
    await handle.close();
  }
}

function parseHeader(text: string): Record<string, z.infer<typeof entrySchema>> {
  try {
    const source: unknown = JSON.parse(text);
    const { [metadataKey]: _, ...tensors } = z.record(z.string(), z.unknown()).parse(source);
    return z.record(z.string(), entrySchema).parse(tensors);
  } catch (cause) {
    throw refused('the base is no safetensors file of float16 or float32 tensors', cause);
  }
}

function refused(message: string, cause?: unknown): GraftError {
  return new GraftError('PLAN_REFUSED', message, { cause });
}
