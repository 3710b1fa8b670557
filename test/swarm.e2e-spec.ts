/** Fifty enrolled agents in one process against a real coordinator: every report counts once, and every sum is right. */
import { resolve } from 'node:path';

import { run } from './support/commands.js';

const bench = resolve(import.meta.dirname, '../bench/main.mjs');

interface Measured {
  readonly agents: number;
  readonly roundsChecked: number;
  readonly reportsLost: number;
  readonly wrongSums: number;
  readonly refused: number;
  readonly troubles: number;
}

describe('a swarm of agents', () => {
  it('has no report lost and no sum wrong where twenty of fifty connected agents report each round', async () => {
    const size = ['--agents', '50', '--cohort', '20', '--rounds', '2', '--parameters', '20000'];
    const { exit, stdout, stderr } = await run(bench, ['swarm', ...size]);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
    const measured = JSON.parse(stdout) as Measured;
    expect(measured).toMatchObject({
      agents: 50,
      roundsChecked: 2,
      reportsLost: 0,
      wrongSums: 0,
      refused: 0,
      troubles: 0,
    });
  }, 150_000);
});
