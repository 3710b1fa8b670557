/** `coordinator.json` in the data directory: where a coordinator that is ready can be reached. The command line reads it. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';

import { writeSecret } from './keys.adapter.js';

export interface Ready {
  readonly pid: number;
  readonly apiUrl: string;
  readonly grpcAddress: string;
  readonly enrolAddress: string;
  readonly caFingerprint: string;
}

const fileIn = (directory: string): string => join(directory, 'coordinator.json');

export async function writeReadyFile(directory: string, ready: Ready): Promise<void> {
  await writeSecret(fileIn(directory), `${JSON.stringify(ready, undefined, 2)}\n`);
}

export async function removeReadyFile(directory: string): Promise<void> {
  await rm(fileIn(directory), { force: true });
}
