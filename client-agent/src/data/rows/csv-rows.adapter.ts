/** A CSV file (RFC 4180, with a header): its rows by columns. A row that cannot be read is skipped, counted and named. */
import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import { parse, type CsvError } from 'csv-parse';

import { dataLimits, type SkipList } from '../dataset.js';
import type { ReadRows } from './table.js';
import { decodeCell, fallbackDecoder, openText, type Decoder } from './text-encoding.adapter.js';

export interface CsvFile {
  readonly path: string;
  readonly delimiter?: string | undefined;
  readonly encoding?: string | undefined;
  readonly fallbackEncoding?: string | undefined;
  /** Of one row at most; default that of the data's limits. */
  readonly rowBytes?: number;
}

/** Cells are trimmed text. Throws DATA_NOT_FOUND where the file cannot be read, DATA_CONFIG_INVALID where a column is missing. */
export function csvRows(file: CsvFile, skipped: SkipList): ReadRows {
  return async function* (columns) {
    const fallback = fallbackDecoder(file.fallbackEncoding);
    const rowBytes = file.rowBytes ?? dataLimits.rowBytes;
    const { bytes, head, encoding } = await openText(file.path, file.encoding);
    const parser = parse({
      bom: true,
      // Cells stay bytes: each is decoded by itself, so that one bad row does not cost the rest.
      encoding: null,
      delimiter: file.delimiter ?? delimiterOf(head),
      relax_column_count: true,
      skip_empty_lines: true,
      skip_records_with_error: true,
      // A quote in the wrong place stays a character; the strict reading would lose every row up to the next one.
      relax_quotes: true,
      max_record_size: rowBytes,
    });
    let isCut = false;
    parser.on('skip', (error: CsvError | undefined) => {
      if (isCut) return;
      skipped.add(lineOf(error), reasonOf(error, rowBytes));
      if (error?.code !== 'CSV_MAX_RECORD_SIZE') return;
      // The parser does not find the end of such a row.
      isCut = true;
      bytes.unpipe(parser).destroy();
      parser.end();
    });
    bytes.on('error', (error) => parser.destroy(error));
    let positions: readonly (readonly [number, string])[] | undefined;
    let count = 0;
    for await (const cells of bytes.pipe(parser) as AsyncIterable<readonly Buffer[]>) {
      if (positions === undefined) {
        positions = positionsOf(file.path, headerOf(file.path, cells, fallback), columns);
        continue;
      }
      count += 1;
      if (count > limits.examplesPerUpdate) {
        throw new GraftError(
          'DATA_CONFIG_INVALID',
          `${file.path} has more than ${limits.examplesPerUpdate} rows, the limit`,
        );
      }
      const row = readRow(cells, positions, { encoding, fallback });
      if (typeof row === 'string') skipped.add(`row ${count}`, row);
      else yield { cells: row, name: `row ${count}` };
    }
  };
}

interface Decoding {
  readonly encoding: string;
  readonly fallback: Decoder | undefined;
}

/** The cells, or why the row cannot be used. */
function readRow(
  row: readonly Buffer[],
  positions: readonly (readonly [number, string])[],
  { encoding, fallback }: Decoding,
): string[] | string {
  const cells: string[] = [];
  for (const [position, title] of positions) {
    const bytes = row[position];
    const text = bytes === undefined ? '' : decodeCell(bytes, fallback);
    if (text === undefined) return `column ${title} is not UTF-8; set encoding or fallbackEncoding, e.g. windows-1252`;
    if (encoding !== 'utf-8' && text.includes('\ufffd')) return `column ${title} is not ${encoding}`;
    if (text.includes('\0')) return `column ${title} holds a NUL byte`;
    cells.push(text.trim());
  }
  return cells;
}

function headerOf(path: string, cells: readonly Buffer[], fallback: Decoder | undefined): string[] {
  if (cells.length > dataLimits.columns) {
    throw new GraftError(
      'DATA_CONFIG_INVALID',
      `${path} has ${cells.length} columns, the limit is ${dataLimits.columns}`,
    );
  }
  return cells.map((cell, i) => {
    const title = decodeCell(cell, fallback);
    if (title !== undefined) return title.trim();
    throw new GraftError(
      'DATA_CONFIG_INVALID',
      `the title of column ${i + 1} of ${path} is not UTF-8; set its encoding`,
    );
  });
}

function positionsOf(
  path: string,
  titles: readonly string[],
  columns: readonly string[] | undefined,
): (readonly [number, string])[] {
  if (columns === undefined) return titles.map((title, i) => [i, title]);
  const places = new Map(titles.map((title, i) => [title, i]));
  return columns.map((column) => [places.get(column) ?? missing(path, column, titles), column]);
}

/** Throws DATA_CONFIG_INVALID that names the column and those that there are. */
export function missing(path: string, column: string, titles: readonly string[]): never {
  const known = titles.slice(0, 20).join(', ') + (titles.length > 20 ? ', …' : '');
  throw new GraftError('DATA_CONFIG_INVALID', `${path} has no column '${column}'; its columns are ${known}`, {
    details: { column },
  });
}

/** Of the usual delimiters the one that stands most often in the first line, outside quotes; a comma where none does. */
function delimiterOf(head: string): string {
  const counts = new Map([',', ';', '\t', '|'].map((delimiter) => [delimiter, 0]));
  let quoted = false;
  for (const character of head) {
    if (character === '"') quoted = !quoted;
    else if (!quoted && character === '\n') break;
    else if (!quoted && counts.has(character)) counts.set(character, (counts.get(character) ?? 0) + 1);
  }
  return [...counts].reduce((best, entry) => (entry[1] > best[1] ? entry : best))[0];
}

function reasonOf(error: CsvError | undefined, rowBytes: number): string {
  switch (error?.code) {
    case 'CSV_MAX_RECORD_SIZE':
      return `the row is over ${rowBytes} bytes, the limit; what follows it is not read`;
    case 'CSV_QUOTE_NOT_CLOSED':
      return 'a quote is never closed: the row and what follows it cannot be told apart';
    default:
      return error?.message ?? 'not a CSV row';
  }
}

function lineOf(error: CsvError | undefined): string {
  const line: unknown = error === undefined ? undefined : Reflect.get(error, 'lines');
  return typeof line === 'number' ? `line ${line}` : 'a row';
}
