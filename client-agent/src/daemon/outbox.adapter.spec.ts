import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { openOutbox, type OutboxRecord } from './outbox.adapter.js';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'graft-outbox-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const failure = (instructionId: string, atMs: number): OutboxRecord => ({
  kind: 'failure',
  instructionId,
  runId: 'run',
  round: 1,
  atMs,
  code: 'TRAINER_FAILED',
  message: 'ended',
});

describe('the outbox', () => {
  it('gives back what a former process left, oldest first', async () => {
    await openOutbox(folder).put(failure('b', 2));
    await openOutbox(folder).put(failure('a', 1));
    expect((await openOutbox(folder).list()).map(({ instructionId }) => instructionId)).toEqual(['a', 'b']);
    expect(await openOutbox(folder).get('b')).toEqual(failure('b', 2));
  });

  it('removes a sealed file whose work was cut off before its record', async () => {
    const outbox = openOutbox(folder);
    await outbox.folder('cut');
    await writeFile(outbox.sealedFile('cut'), 'half');
    expect(await outbox.list()).toEqual([]);
    expect(await readdir(folder)).toEqual(['cut']);
    expect(await openOutbox(folder).recover()).toEqual([]);
    expect(await readdir(folder)).toEqual([]);
  });

  it('removes an update whose sealed file is not whole', async () => {
    const outbox = openOutbox(folder);
    const { code: _, message: __, ...common } = { ...failure('torn', 1), code: '', message: '' };
    await outbox.put({
      ...common,
      kind: 'update',
      taskId: 'task',
      manifest: '',
      signature: '',
      ciphertext: { hash: 'a'.repeat(64), sizeBytes: 5 },
      exampleCount: 1,
      initialLoss: null,
      loss: null,
      workMs: 1,
    });
    await writeFile(outbox.sealedFile('torn'), '12345');
    expect(await openOutbox(folder).recover()).toHaveLength(1);
    await writeFile(outbox.sealedFile('torn'), '123');
    expect(await openOutbox(folder).recover()).toEqual([]);
  });

  it('forgets a report once it is acknowledged, and removing twice changes nothing', async () => {
    const outbox = openOutbox(folder);
    await outbox.put(failure('a', 1));
    await outbox.remove('a');
    await outbox.remove('a');
    expect(await outbox.list()).toEqual([]);
  });

  it.each(['../../escape', '..', 'a/b', 'ü '])('keeps the files of instruction %j below itself', async (id) => {
    const outbox = openOutbox(join(folder, 'outbox'));
    await outbox.put(failure(id, 1));
    expect(await readdir(folder)).toEqual(['outbox']);
    expect((await outbox.list()).map(({ instructionId }) => instructionId)).toEqual([id]);
  });
});
