/**
 * Power cuts of the embedded store, simulated: rows are written and acknowledged while every file operation is recorded; then
 * the store is opened on what a disk would hold after a cut at a random operation. Arguments: FOLDER CUTS SEED ROWS [without-fsync].
 * Prints one JSON line. A program of its own, since it stands in front of node:fs.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { sql } from 'kysely';

import { random } from '@graft/core/random';

import { openStore, type Store } from '../open-store.driver.js';
import { recordFiles, type FileJournal } from './file-journal.contract.js';
import { writeDiskImage } from './disk-image.contract.js';

/** What the program prints. */
export interface PowerCutResult {
  readonly cuts: number;
  /** Images on which the store opened. */
  readonly opened: number;
  /** Acknowledged rows that an opened store did not have. */
  readonly lost: number;
  /** Acknowledged rows, counted anew for each cut. */
  readonly acknowledged: number;
  readonly refusals: readonly string[];
}

const [folder = '', cuts = '4', seed = '1', rows = '60', mode] = process.argv.slice(2);
const embedded = (directory: string): Promise<Store> => openStore({ kind: 'embedded', directory });
const stream = random(Number(seed));

async function write({ db }: Store, journal: FileJournal): Promise<void> {
  for (let row = 1; row <= Number(rows); row++) {
    const data = JSON.stringify({ filler: 'x'.repeat(stream.below(6_000)) });
    await db.insertInto('events').values({ at_ms: row, kind: 'written', data }).execute();
    journal.operations.push({ kind: 'acknowledged', row });
    if (row % 20 === 0) await sql`checkpoint`.execute(db);
  }
}

async function record(): Promise<FileJournal> {
  const directory = join(folder, 'written');
  await mkdir(directory);
  await (await embedded(directory)).close();
  const journal = recordFiles(join(directory, 'database'), { ignoresSync: mode === 'without-fsync' });
  const store = await embedded(directory);
  await write(store, journal);
  journal.stop();
  await store.close();
  return journal;
}

/** Rows that are missing, or why the store does not open. */
async function missingAfter(directory: string, acknowledged: readonly number[]): Promise<number | string> {
  try {
    const store = await embedded(directory);
    try {
      const found = await store.db.selectFrom('events').select('at_ms').execute();
      const there = new Set(found.map(({ at_ms }) => at_ms));
      return acknowledged.filter((row) => !there.has(row)).length;
    } finally {
      await store.close();
    }
  } catch (error) {
    return String(error).slice(0, 200);
  }
}

const journal = await record();
const first = journal.operations.findIndex(({ kind }) => kind === 'acknowledged') + 1;
const refusals: string[] = [];
let [lost, all] = [0, 0];
for (let cut = 0; cut < Number(cuts); cut++) {
  // Most cuts come once there is something to lose; every eighth one may come while the store is opened.
  const from = cut % 8 === 7 ? 0 : first;
  const count = from + stream.below(journal.operations.length + 1 - from);
  const directory = join(folder, `cut-${cut}`);
  writeDiskImage(join(directory, 'database'), journal, count, stream);
  const acknowledged = journal.operations
    .slice(0, count)
    .flatMap((each) => (each.kind === 'acknowledged' ? [each.row] : []));
  const missing = await missingAfter(directory, acknowledged);
  all += acknowledged.length;
  if (typeof missing === 'number') lost += missing;
  else refusals.push(`operation ${count} of ${journal.operations.length}: ${missing}`);
  await rm(directory, { recursive: true, force: true });
}
const result: PowerCutResult = {
  cuts: Number(cuts),
  opened: Number(cuts) - refusals.length,
  lost,
  acknowledged: all,
  refusals,
};
console.log(JSON.stringify(result));
process.exit(0);
