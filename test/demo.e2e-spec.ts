import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { folder, json, programs, run, type Finished } from './support/commands.js';

interface Round {
  readonly event: 'round';
  readonly round: number;
  readonly accuracy: number;
  readonly worstSiteAccuracy: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
}

interface Result {
  readonly event: 'result';
  readonly seconds: number;
  readonly rounds: readonly Round[];
  readonly accuracy: { readonly alone: readonly number[]; readonly federated: number; readonly pooled: number };
  readonly release: {
    readonly id: string;
    readonly precision: string;
    readonly accuracyFp32: number;
    readonly accuracyInt8: number;
    readonly kl: number;
    readonly sizeBytesFp32: number;
    readonly sizeBytesInt8: number;
  };
}

const sites = 3;
const rounds = 3;

describe('the demo', () => {
  let place: Awaited<ReturnType<typeof folder>>;
  let directory: string;
  let demo: Finished;
  let lines: (Round | Result)[];

  beforeAll(async () => {
    place = await folder();
    directory = join(place.path, 'three banks');
    const options = ['--sites', String(sites), '--rounds', String(rounds), '--images', '60', '--seed', '3'];
    demo = await run(programs.graft, ['demo', ...options, '--dir', directory, '--json'], { timeoutMs: 240_000 });
    lines = demo.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Round | Result);
  }, 250_000);

  afterAll(() => place.remove());

  const result = (): Result => lines.at(-1) as Result;

  it('ends well and prints one object a round, then the result', () => {
    expect(demo.exit).toBe(0);
    expect(lines.map(({ event }) => event)).toEqual([...Array.from({ length: rounds }, () => 'round'), 'result']);
    expect(result().rounds.map(({ round }) => round)).toEqual([1, 2, 3]);
  });

  it('learns together what no bank learns alone', () => {
    const { alone, federated, pooled } = result().accuracy;
    expect(alone).toHaveLength(sites);
    expect(Math.max(...alone)).toBeLessThan(pooled);
    expect(federated).toBeGreaterThan(alone.reduce((sum, value) => sum + value, 0) / sites);
  });

  it('counts what went up and down in every round', () => {
    const head = (2880 + 1) * 10;
    for (const { bytesUp, bytesDown } of result().rounds) {
      // One float32 a parameter and bank, and less than a tenth for the envelope.
      expect(bytesUp).toBeGreaterThanOrEqual(head * 4 * sites);
      expect(bytesUp).toBeLessThan(head * 4 * sites * 1.1);
      expect(bytesDown).toBeGreaterThan(head * 2 * sites);
    }
  });

  it('releases a quantized model a quarter of the size, or says that float32 was better', () => {
    const { release } = result();
    expect(release.sizeBytesInt8).toBeLessThan(release.sizeBytesFp32 * 0.4);
    expect(release.kl).toBeGreaterThanOrEqual(0);
    if (release.precision === 'int8')
      expect(release.accuracyInt8).toBeGreaterThanOrEqual(release.accuracyFp32 - 0.01 - 1e-9);
    else expect(release.accuracyInt8).toBeLessThan(release.accuracyFp32 - 0.01 + 1e-9);
  });

  it('leaves the release at every bank, which answers predictions from it without the coordinator', async () => {
    const banks = await readdir(join(directory, 'banks'));
    expect(banks).toHaveLength(sites);
    for (const bank of banks) {
      const images = join(directory, 'banks', bank, 'images');
      const [label = ''] = await readdir(images);
      const files = (await readdir(join(images, label))).slice(0, 3).map((name) => join(images, label, name));
      const agent = join(directory, 'banks', bank, 'agent');
      const predictions = await json<{ predictions: { label: string; probability: number }[] }>(programs.agent, [
        'predict',
        '--dir',
        agent,
        ...files,
      ]);
      expect(JSON.stringify(predictions)).toContain(result().release.id);
      expect(JSON.stringify(predictions)).toMatch(/"label":"\d"/);
    }
  }, 60_000);

  it('says what is there when it is started on the same directory again', async () => {
    const again = await run(programs.graft, ['demo', '--dir', directory]);
    expect(again.exit).toBe(4);
    expect(again.stderr).toContain('holds a finished demo');
    expect(again.stderr).toContain('--dir');
  });
});
