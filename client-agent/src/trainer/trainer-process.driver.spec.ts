import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { jest } from '@jest/globals';
import { createTrainer, type Trainer } from './trainer-process.driver.js';
import type { PredictInput } from './trainer-calls.js';

/** Answers `predict` by what the first input's name says. */
const fakeTrainer = `
process.on('disconnect', () => process.exit(0));
process.on('message', ({ id, call, input }) => {
  const order = call === 'cancel' ? 'cancel' : input.inputs[0].name;
  if (order === 'die') process.kill(process.pid, 'SIGKILL');
  if (order === 'abort') { process.stderr.write('native abort\\n', () => process.abort()); }
  if (order === 'grow') { const kept = []; for (;;) kept.push(Array.from({ length: 1e5 }, Math.random)); }
  if (order === 'refuse') process.send({ id, kind: 'failed', code: 'LABEL_UNKNOWN', message: 'owl', details: { label: 'owl' } });
  if (order === 'cancel') process.send({ id, kind: 'failed', code: 'CANCELLED', message: 'ended', details: {} });
  if (order === 'pid') {
    process.send({ id, kind: 'progress', progress: { activity: 'training', progress: 0.5 } });
    process.send({ id, kind: 'done', output: [{ input: String(process.pid), values: input.inputs[0].values }] });
  }
});
`;

// Processes, TLS and the disk of a loaded machine take their time.
jest.setTimeout(30_000);

let folder: string;
let trainer: Trainer;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'graft trainer '));
  await writeFile(join(folder, 'fake.mjs'), fakeTrainer);
  trainer = createTrainer(join(folder, 'fake.mjs'));
});
afterEach(async () => {
  await trainer.close();
  await rm(folder, { recursive: true, force: true });
});

const order = (name: string): PredictInput =>
  ({ inputs: [{ kind: 'features', name, values: Float32Array.of(1, 2) }] }) as unknown as PredictInput;

describe('the trainer process', () => {
  it('is started once, answers, says how far it is, and takes typed arrays as they are', async () => {
    const seen: number[] = [];
    const first = await trainer.call('predict', order('pid'), { onProgress: ({ progress }) => seen.push(progress) });
    expect(first).toEqual([{ input: String(trainer.pid()), values: Float32Array.of(1, 2) }]);
    expect(seen).toEqual([0.5]);
    expect(await trainer.call('predict', order('pid'))).toEqual(first);
  });

  it.each([
    ['die', 'SIGKILL'],
    ['abort', 'native abort'],
  ])('that is ended by %s fails its call, and the next call has a new one', async (how, word) => {
    await expect(trainer.call('predict', order(how))).rejects.toMatchObject({
      code: 'TRAINER_FAILED',
      message: expect.stringContaining(word),
    });
    await expect(trainer.call('predict', order('pid'))).resolves.toHaveLength(1);
  });

  it('that runs out of memory says so, and the next call has a new one', async () => {
    const small = createTrainer(join(folder, 'fake.mjs'), { execArgv: ['--max-old-space-size=24'] });
    await expect(small.call('predict', order('grow'))).rejects.toMatchObject({
      code: 'TRAINER_OUT_OF_MEMORY',
      message: expect.stringMatching(/heap/i),
    });
    await expect(small.call('predict', order('pid'))).resolves.toHaveLength(1);
    await small.close();
  });

  it('hands on the error of a job with its code', async () => {
    await expect(trainer.call('predict', order('refuse'))).rejects.toMatchObject({
      code: 'LABEL_UNKNOWN',
      details: { label: 'owl' },
    });
  });

  it('ends a cancelled call, and lives on', async () => {
    const abort = new AbortController();
    const call = trainer.call('predict', order('wait'), { signal: abort.signal });
    abort.abort();
    await expect(call).rejects.toMatchObject({ code: 'CANCELLED' });
    await expect(trainer.call('predict', order('pid'))).resolves.toHaveLength(1);
  });

  it('takes the next call as soon as it is closed, and can be closed again', async () => {
    for (let round = 0; round < 3; round++) {
      const first = trainer.pid();
      await expect(trainer.call('predict', order('pid'))).resolves.toEqual([
        expect.objectContaining({ input: String(trainer.pid()) }),
      ]);
      expect(trainer.pid()).not.toBe(first);
      await trainer.close();
    }
    await trainer.close();
    expect(trainer.pid()).toBeUndefined();
  });

  it('that cannot be started is an error of the call', async () => {
    const missing = createTrainer(join(folder, 'nothing.mjs'));
    await expect(missing.call('predict', order('pid'))).rejects.toMatchObject({ code: 'TRAINER_FAILED' });
  });
});
