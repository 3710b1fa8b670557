/** `graft simulate` as a person runs it: real training in a pool of processes, a virtual clock, the same again from a seed. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { folder, programs, run } from './support/commands.js';

const small = [
  'simulate',
  '--agents',
  '40',
  '--goal',
  '4',
  '--rounds',
  '3',
  '--trace',
  'hospitals',
  '--processes',
  '1',
];

/** The lines of a simulation; wall time is another every time. */
function linesOf(stdout: string): Record<string, unknown>[] {
  return stdout
    .trim()
    .split('\n')
    .map((line) => {
      const { wallMs: _, ...rest } = JSON.parse(line) as Record<string, unknown>;
      return rest;
    });
}

describe('graft simulate', () => {
  it('trains, tells how accurate the model became and when, and gives the same figures for the same seed', async () => {
    const first = await run(programs.graft, [...small, '--json']);
    expect({ exit: first.exit, stderr: first.stderr }).toEqual({ exit: 0, stderr: '' });
    const lines = linesOf(first.stdout);
    expect(lines.map(({ event }) => event)).toEqual(['begin', 'round', 'round', 'round', 'result']);
    const [begin, one, , three, result] = lines;
    expect(begin).toMatchObject({ agents: 40, parameters: 50_890 });
    expect(result).toMatchObject({ status: 'completed', rounds: 3, policy: 'synchronous' });
    expect(Number(three?.['accuracy'])).toBeGreaterThan(Number(one?.['accuracy']));
    const again = await run(programs.graft, [...small, '--json']);
    expect(linesOf(again.stdout)).toEqual(lines);
  }, 150_000);

  it('says what is wrong with a trace, where, and how to correct it', async () => {
    const unknown = await run(programs.graft, ['simulate', '--trace', 'tablets']);
    expect(unknown.exit).toBe(4);
    expect(unknown.stderr).toContain("'tablets' is no built-in trace and no file; built in are phones and hospitals");
    const place = await folder();
    try {
      const trace = join(place.path, 'fleet.csv');
      await writeFile(trace, 'examplesPerSecond,availability\n10,0.5\n');
      const shaped = await run(programs.graft, ['simulate', '--trace', trace]);
      expect(shaped.exit).toBe(4);
      expect(shaped.stderr).toContain('line 2: downBytesPerSecond');
      expect(shaped.stderr).toContain('docs/scale.md shows both forms');
    } finally {
      await place.remove();
    }
  }, 60_000);

  it('refuses no agents at all', async () => {
    const none = await run(programs.graft, ['simulate', '--agents', '0']);
    expect(none.exit).toBe(4);
    expect(none.stderr).toContain("--agents must be a whole number from 1 to 1000000, got '0'");
  }, 30_000);
});
