/** What a sweep removes and what it leaves, on the database and the blobs of a run in progress. */
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { jest } from '@jest/globals';
import { sql } from 'kysely';

import { hashOf, sampleBytes } from '../blobs/blob-store.contract.js';
import { openBlobs } from '../blobs/open-blobs.driver.js';
import { readConfig } from '../config/config.js';
import { firstSchema } from '../store/migrate.contract.js';
import { openStore, type Store } from '../store/open-store.driver.js';
import { sweep, type SweepReport } from './sweep.driver.js';

jest.setTimeout(120_000);

const fixture = fileURLToPath(new URL('../../../test/vectors/first-schema/', import.meta.url));
const directory = await fs.mkdtemp(join(tmpdir(), 'graft sweep-'));
const day = 24 * 3_600_000;
const keep = { eventsMs: 30 * day, updateRounds: 1, checkpoints: 1, settledMs: day };
const { blobs, shelf } = await openBlobs(directory, readConfig(['--dir', directory], {}));
let store: Store;

/** Files change for the last time now; a sweep happens so much later. */
const sweepAfter = (afterMs: number, dryRun = false): Promise<SweepReport | undefined> =>
  sweep({ db: store.db, blobs, shelf, keep, graceMs: day }, { atMs: Date.now() + afterMs, dryRun });

const stored = async (): Promise<string[]> => {
  const hashes: string[] = [];
  for await (const { hash } of shelf.list()) hashes.push(hash);
  return hashes.sort();
};

beforeAll(async () => {
  const options = { kind: 'embedded', directory } as const;
  await firstSchema(options);
  store = await openStore(options);
  for (const folder of await fs.readdir(join(fixture, 'blobs')))
    for (const hash of await fs.readdir(join(fixture, 'blobs', folder)))
      await blobs.put(await fs.readFile(join(fixture, 'blobs', folder, hash)));
});

afterAll(async () => {
  await store.close();
  await fs.rm(directory, { recursive: true, force: true });
});

test('updates stay as long as the policy of their run may fold them', async () => {
  const setPolicy = (policy: object): Promise<unknown> =>
    sql`update runs set state = jsonb_set(state, '{machine,plan,policy}', ${JSON.stringify(policy)}::jsonb)`.execute(
      store.db,
    );
  const whole = async (): Promise<number> => {
    const rows = await store.db.selectFrom('updates').select('ciphertext').execute();
    return rows.filter(({ ciphertext }) => 'hash' in Object(ciphertext)).length;
  };
  const before = await whole();
  await setPolicy({ kind: 'bufferedAsynchronous', maxStaleness: 10 });
  const rules = { ...keep, checkpoints: 100 };
  const report = await sweep(
    { db: store.db, blobs, shelf, keep: rules, graceMs: day },
    { atMs: Date.now(), dryRun: false },
  );
  expect(report?.rows?.updates).toBe(0);
  expect(await whole()).toBe(before);
  await setPolicy({ kind: 'synchronous' });
});

test('rows and blobs of rounds that are over go by the rules; the run in progress keeps what it needs', async () => {
  const { db } = store;
  const open = await db.selectFrom('runs').select('state').executeTakeFirstOrThrow();
  const report = await sweepAfter(40 * day);
  expect(report?.rows).toMatchObject({ events: 13, updates: 2, checkpoints: 1 });
  const updates = await db.selectFrom('updates').select(['round', 'ciphertext']).orderBy('round').execute();
  expect(updates.map(({ round, ciphertext }) => [round, 'hash' in Object(ciphertext)])).toEqual(
    [1, 1, 2, 2, 3].map((round) => [round, round > 1]),
  );
  const whole = await stored();
  const needed = [...JSON.stringify(open.state).matchAll(/"hash":\s*"([0-9a-f]{64})"/gu)].map(([, hash]) => hash);
  expect(needed.length).toBeGreaterThan(1);
  for (const hash of new Set(needed)) expect(whole).toContain(hash);
});

test('what is young stays, whatever names it', async () => {
  const before = await stored();
  await blobs.put(sampleBytes(10));
  expect(await sweepAfter(day / 2)).toMatchObject({ blobs: 0, keptBlobs: before.length + 1 });
  await blobs.delete(hashOf(sampleBytes(10)));
});

test('a dry run says what would go and removes nothing', async () => {
  const before = await stored();
  await blobs.put(sampleBytes(10));
  expect(await sweepAfter(2 * day, true)).toMatchObject({ blobs: 1, sizeBytes: 10 });
  expect(await stored()).toHaveLength(before.length + 1);
});

test('a blob that nothing names goes when it is old; one that was asked for lately stays', async () => {
  const later = Date.now() + 2 * day;
  const [asked, forgotten] = [sampleBytes(20), sampleBytes(30)];
  await blobs.put(asked);
  await blobs.put(forgotten);
  await fs.utimes(blobs.path(hashOf(asked)), later / 1_000, later / 1_000);
  await sweepAfter(2 * day);
  expect(await blobs.has(hashOf(asked))).toBe(20);
  expect(await blobs.has(hashOf(forgotten))).toBeUndefined();
});

test('the use of an old blob is noted when somebody asks for it', async () => {
  const bytes = sampleBytes(40);
  const { hash } = await blobs.put(bytes);
  const long = (Date.now() - 10 * day) / 1_000;
  for (const use of [() => blobs.has(hash), () => blobs.put(bytes)]) {
    await fs.utimes(blobs.path(hash), long, long);
    await use();
    expect(((await shelf.find(hash))?.usedAtMs ?? 0) - Date.now()).toBeGreaterThan(-day);
  }
});

test('one sweeps at a time', async () => {
  const both = await Promise.all([sweepAfter(0, true), sweepAfter(0, true)]);
  expect(both.filter((report) => report !== undefined).length).toBe(1);
});
