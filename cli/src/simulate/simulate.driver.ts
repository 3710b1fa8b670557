/** Starts the process that simulates, which is the coordinator's own code, and passes on what it prints. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { errorCatalogue, GraftError, type ErrorCode } from '@graft/core/error';
import { encodeSafetensors } from '@graft/models/formats/safetensors';

import { loadDigits } from '../demo/digits.adapter.js';
import { programs } from '../processes/child.driver.js';
import { digitsData } from './digits-data.js';
import type { ErrorEvent, SimulationEvent } from './events.js';
import { holdOutPerClass } from './preset.js';

/** The request of the simulating process, but for what is made here. */
export interface SimulationRequest {
  readonly seed: number;
  readonly task: { readonly kind?: unknown };
  readonly [field: string]: unknown;
}

/** @param onEvent called with every line but an error, which is thrown */
export async function simulate(request: SimulationRequest, onEvent: (event: SimulationEvent) => void): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'graft-simulate-'));
  try {
    const dataFile = join(directory, 'data.safetensors');
    const needsData = request.task.kind === 'fit';
    if (needsData)
      await writeFile(dataFile, encodeSafetensors(digitsData(await loadDigits(), holdOutPerClass, request.seed)));
    const file = join(directory, 'request.json');
    await writeFile(file, JSON.stringify({ ...request, directory, ...(needsData && { dataFile }) }));
    await follow(file, onEvent);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function follow(file: string, onEvent: (event: SimulationEvent) => void): Promise<void> {
  const child = spawn(process.execPath, [programs.simulation(), file], { stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const stop = (): void => void child.kill('SIGTERM');
  process.once('SIGINT', stop).once('SIGTERM', stop);
  let errors = '';
  child.stderr.on('data', (piece: Buffer) => (errors = `${errors}${piece.toString()}`.slice(-4000)));
  let failure: ErrorEvent | undefined;
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      const event = JSON.parse(line) as SimulationEvent;
      if (event.event === 'error') failure = event;
      else onEvent(event);
    }
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop);
    stop();
  }
  const exit = await exited;
  if (failure !== undefined) throw errorOf(failure);
  if (exit !== 0) {
    const last = errors.trim().split('\n').at(-1) ?? '';
    throw new GraftError('INTERNAL', `the simulation ended with ${exit ?? 'a signal'}: ${last}`);
  }
}

function errorOf({ code, message, details }: ErrorEvent): GraftError {
  return new GraftError(code in errorCatalogue ? (code as ErrorCode) : 'INTERNAL', message, { details });
}
