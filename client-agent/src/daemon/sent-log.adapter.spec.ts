import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { openSentLog, readSentLog } from './sent-log.adapter.js';

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'graft-sent-'));
  file = join(folder, 'sent.jsonl');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('the log of what left the site', () => {
  it('keeps every entry in order, one object a line', async () => {
    const log = openSentLog(file, () => 1_000);
    await log.append({ what: 'update', to: 'hub:1', bytes: 12, sha256: 'ab', run: 'r', round: 1 });
    await openSentLog(file, () => 2_000).append({ what: 'evaluation', to: 'hub:1', bytes: 3 });
    expect((await readFile(file, 'utf8')).split('\n')).toHaveLength(3);
    const { entries, damaged } = await readSentLog(file);
    expect(damaged).toBe(0);
    expect(entries.map(({ time, what, bytes }) => [time, what, bytes])).toEqual([
      ['1970-01-01T00:00:01.000Z', 'update', 12],
      ['1970-01-01T00:00:02.000Z', 'evaluation', 3],
    ]);
  });

  it('counts a torn line and reads the others', async () => {
    await openSentLog(file).append({ what: 'hello', to: 'hub:1', bytes: 1 });
    await appendFile(file, '{"time":"2026\n');
    await openSentLog(file).append({ what: 'hello', to: 'hub:1', bytes: 2 });
    const { entries, damaged } = await readSentLog(file);
    expect(entries.map(({ bytes }) => bytes)).toEqual([1, 2]);
    expect(damaged).toBe(1);
  });

  it('is empty where nothing was sent', async () => {
    expect(await readSentLog(file)).toEqual({ entries: [], damaged: 0 });
  });
});
