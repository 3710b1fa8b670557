/** Twenty seconds of an attack that speaks the protocol, beside honest runs: bench/hostile.mjs in its short form. */
import { resolve } from 'node:path';

import { run } from './support/commands.js';

const bench = resolve(import.meta.dirname, '../bench/main.mjs');

interface Measured {
  readonly roundsCommitted: number;
  readonly roundsLost: number;
  readonly roundsDoubled: number;
  readonly weightsWrong: number;
  readonly weightsCompared: number;
  readonly exited: boolean;
  readonly unhandled: number;
  readonly trouble: readonly string[];
}

describe('agents that send mutated, repeated, oversized and slow calls', () => {
  it('cost the honest ones no round and change no weight, and the coordinator lets go of all they opened', async () => {
    const { exit, stdout, stderr } = await run(bench, ['hostile', '--minutes', '0.33', '--seed', '7'], {
      timeoutMs: 230_000,
    });
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
    const measured = JSON.parse(stdout) as Measured;
    const none = { roundsLost: 0, roundsDoubled: 0, weightsWrong: 0, unhandled: 0, exited: false, trouble: [] };
    expect(measured).toMatchObject({ holds: true, ...none });
    expect(measured.roundsCommitted).toBeGreaterThanOrEqual(25);
    expect(measured.weightsCompared).toBeGreaterThanOrEqual(25);
  }, 240_000);
});
