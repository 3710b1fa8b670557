/** A folder for the specs of files of rows, and what a reader makes of a file in it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { readDataset } from '../dataset.adapter.js';
import { SkipList, type Dataset, type SkippedRecord } from '../dataset.js';
import type { ReadRows, TableRow } from './table.js';

export interface DataFolder {
  path(name: string): string;
  write(name: string, content: string | Uint8Array): Promise<string>;
  /** What a site has whose data.yaml says this. */
  dataset(yaml: string): Promise<Dataset>;
  remove(): Promise<void>;
}

export async function dataFolder(): Promise<DataFolder> {
  const folder = await mkdtemp(join(tmpdir(), 'graft rows '));
  const write = async (name: string, content: string | Uint8Array): Promise<string> => {
    await writeFile(join(folder, name), content);
    return join(folder, name);
  };
  return {
    path: (name) => join(folder, name),
    write,
    dataset: async (yaml) => readDataset(await write('data.yaml', yaml), join(folder, 'index.json')),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

export interface Gathered {
  readonly rows: readonly TableRow[];
  readonly cells: readonly TableRow['cells'][];
  readonly skipped: readonly SkippedRecord[];
}

/** All rows that a reader gives, and what it skips. */
export async function gather(reader: (skipped: SkipList) => ReadRows, columns?: readonly string[]): Promise<Gathered> {
  const skipped = new SkipList();
  const rows: TableRow[] = [];
  for await (const row of reader(skipped)(columns)) rows.push(row);
  return { rows, cells: rows.map(({ cells }) => cells), skipped: skipped.named };
}
