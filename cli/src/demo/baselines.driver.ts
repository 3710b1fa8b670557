/** Runs the comparisons of the demo in a process of their own. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { GraftError } from '@graft/core/error';
import type { Tensor } from '@graft/core/tensor';
import { encodeSafetensors } from '@graft/models/formats/safetensors';

import { runProgram } from '../processes/child.driver.js';
import type { Baselines, BaselinesRequest } from './baselines.main.js';

export interface BaselinesOptions extends Omit<BaselinesRequest, 'holdOut'> {
  readonly directory: string;
  readonly holdOut: ReadonlyMap<string, Tensor>;
}

export async function measureBaselines({ directory, holdOut, ...options }: BaselinesOptions): Promise<Baselines> {
  const holdOutFile = join(directory, 'hold-out.safetensors');
  await writeFile(holdOutFile, encodeSafetensors(holdOut));
  const requestFile = join(directory, 'baselines.json');
  await writeFile(requestFile, JSON.stringify({ ...options, holdOut: holdOutFile } satisfies BaselinesRequest));
  const { exit, stdout, stderr } = await runProgram(fileURLToPath(new URL('baselines.main.js', import.meta.url)), [
    requestFile,
  ]);
  if (exit !== 0)
    throw new GraftError('INTERNAL', `the comparisons of the demo failed: ${stderr.trim().split('\n').at(-1) ?? ''}`);
  return JSON.parse(stdout) as Baselines;
}
