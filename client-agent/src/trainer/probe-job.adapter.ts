/** A rehearsal: the update is the constant that the plan names, for every parameter of the base. Constant memory, no data. */
import { join } from 'node:path';

import { plaintextChunkBytes } from '@graft/protos/sealed/envelope';

import { readBaseLayout } from './base-header.adapter.js';
import type { JobControl } from './serve.driver.js';
import { sealToFile } from './seal-to-file.adapter.js';
import type { ProbeInput, SealedUpdate } from './trainer-calls.js';

const floatBytes = 4;

export async function probe({ blobs, base, add, seal }: ProbeInput, control: JobControl): Promise<SealedUpdate> {
  const layout = await readBaseLayout(join(blobs, base.blob.hash), base.layoutHash);
  const plaintextBytes = layout.length * floatBytes;
  const constant = new Uint8Array(
    new Float32Array(Math.min(plaintextBytes, plaintextChunkBytes) / floatBytes).fill(add).buffer,
  );
  const fields = await sealToFile(
    seal,
    { plaintextBytes, chunkAt: (_, length) => constant.subarray(0, length) },
    control,
  );
  return { ...fields, parameterCount: layout.length };
}
