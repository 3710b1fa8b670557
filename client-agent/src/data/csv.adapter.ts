/** A CSV file (RFC 4180, with a header): one labelled example a row, an image's path or numeric columns. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import { parse } from 'csv-parse';

import type { DataConfig } from '../config/data-config.js';
import { dataLimits, SkipList, type Example } from './dataset.js';
import type { HashIndex } from './hash-index.adapter.js';
import { hashAll } from './image-folder.adapter.js';

type CsvConfig = Extract<DataConfig, { format: 'csv' }>;

/** @throws DATA_NOT_FOUND where the file cannot be read, DATA_CONFIG_INVALID where a column is missing */
export async function readCsv(config: CsvConfig, skipped: SkipList, index: HashIndex): Promise<Example[]> {
  const { path, label, image, columns } = config;
  await requireFile(path);
  if (image !== undefined) {
    const files: { label: string; path: string }[] = [];
    await eachRow(path, [label, image], skipped, ({ cells: [text = '', file = ''], name }) => {
      if (text === '' || file === '') skipped.add(name, text === '' ? 'no label' : 'no image path');
      else files.push({ label: text, path: resolve(dirname(path), file) });
    });
    return hashAll(dirname(path), files, { skipped, index });
  }
  const examples: Example[] = [];
  const names = columns ?? [];
  await eachRow(path, [label, ...names], skipped, ({ cells: [text = '', ...cells], name }) => {
    if (text === '') return skipped.add(name, 'no label');
    const wrong = cells.findIndex((cell) => cell === '' || !Number.isFinite(Number(cell)));
    if (wrong !== -1)
      return skipped.add(name, `column ${names[wrong]} is not a number: '${cells[wrong]?.slice(0, 40)}'`);
    const hash = createHash('sha256').update(cells.join('\u001f')).digest('hex');
    examples.push({ name, hash, label: text, source: { kind: 'features', values: Float32Array.from(cells, Number) } });
  });
  return examples;
}

export interface Row {
  /** Trimmed cells of the columns that were asked for, in that order. */
  readonly cells: readonly string[];
  readonly name: string;
}

/**
 * All rows of a file, for predictions: cells of the named columns, or of every column.
 * Throws DATA_NOT_FOUND, DATA_CONFIG_INVALID.
 */
export async function readRows(path: string, columns: readonly string[] | undefined): Promise<Row[]> {
  await requireFile(path);
  const rows: Row[] = [];
  await eachRow(path, columns, new SkipList(), (row) => rows.push(row));
  return rows;
}

async function requireFile(path: string): Promise<void> {
  await access(path).catch((cause: unknown) => {
    throw new GraftError('DATA_NOT_FOUND', `${path} cannot be read`, { cause });
  });
}

/** @param columns titles; without them, all columns in their order */
async function eachRow(
  path: string,
  columns: readonly string[] | undefined,
  skipped: SkipList,
  visit: (row: Row) => void,
) {
  const rows = createReadStream(path).pipe(
    parse({
      bom: true,
      relax_column_count: true,
      skip_empty_lines: true,
      skip_records_with_error: true,
      max_record_size: dataLimits.rowBytes,
    }),
  );
  rows.on('skip', (error: Error | undefined) => skipped.add('a row', error?.message ?? 'not a CSV row'));
  let positions: readonly number[] | undefined;
  let count = 0;
  for await (const cells of rows as AsyncIterable<readonly string[]>) {
    if (positions === undefined) {
      positions = columns === undefined ? [...cells.keys()] : columnPositions(path, cells, columns);
      continue;
    }
    count += 1;
    if (count > limits.examplesPerUpdate) {
      throw new GraftError('DATA_CONFIG_INVALID', `${path} has more than ${limits.examplesPerUpdate} rows, the limit`);
    }
    visit({ cells: positions.map((position) => cells[position]?.trim() ?? ''), name: `row ${count}` });
  }
}

function columnPositions(path: string, header: readonly string[], columns: readonly string[]): number[] {
  const titles = header.map((title) => title.trim());
  return columns.map((column) => {
    const position = titles.indexOf(column);
    if (position !== -1) return position;
    const known = titles.slice(0, 20).join(', ') + (titles.length > 20 ? ', …' : '');
    throw new GraftError('DATA_CONFIG_INVALID', `${path} has no column '${column}'; its columns are ${known}`, {
      details: { column },
    });
  });
}
