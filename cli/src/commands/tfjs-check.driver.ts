/** What `graft doctor` says of the second runtime: the backend of tfjs that would be used, and why not the others. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { z } from 'zod';

import { describeError } from '../output/output.js';

const choiceSchema = z.object({
  backend: z.string().optional(),
  about: z.string(),
  reasons: z.array(z.object({ backend: z.string(), reason: z.string() })),
});

export interface TfjsCheck {
  readonly result: 'PASS' | 'WARN' | 'SKIPPED';
  readonly name: 'tfjs';
  readonly message: string;
  readonly details?: z.infer<typeof choiceSchema>;
}

/** Time to load TensorFlow from a slow disk. */
const limitMs = 60_000;

/** In a process of its own, since a broken addon ends it. */
export async function checkTfjs(): Promise<TfjsCheck> {
  const program = fileURLToPath(import.meta.resolve('@graft/models/runtime/tfjs/choose-tfjs.main'));
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [program], { timeout: limitMs });
    const details = choiceSchema.parse(JSON.parse(stdout.trim().split('\n').at(-1) ?? ''));
    const others = details.reasons.map(({ backend, reason }) => `not ${backend}: ${reason}`);
    if (details.backend === undefined) {
      const message = `no backend (optional); ${others.join('; ')}`;
      return { result: 'SKIPPED', name: 'tfjs', message, details };
    }
    return {
      result: 'PASS',
      name: 'tfjs',
      message: [`${details.backend} (${details.about})`, ...others].join('; '),
      details,
    };
  } catch (error) {
    return { result: 'WARN', name: 'tfjs', message: `could not be tried: ${describeError(error).lines.join(' ')}` };
  }
}
