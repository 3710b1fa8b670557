/**
 * A Parquet file (https://parquet.apache.org/docs/file-format/): its rows by columns, one row group in memory at a time and of that
 * only the columns asked for. Every size that the file claims is checked before anything is made for it.
 */
import { open, type FileHandle } from 'node:fs/promises';

import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import type { Cell } from '@graft/models/pipeline/kinds/tabular-row';
import { parquetMetadataAsync, parquetRead, type AsyncBuffer, type FileMetaData } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';

import { dataLimits, type SkipList } from '../dataset.js';
import { missing } from './csv-rows.adapter.js';
import { checkPages, type ColumnChunk } from './parquet-pages.js';
import type { ReadRows, TableRow } from './table.js';

/**
 * Numbers, and texts as UTF-8; dates as ISO 8601, true and false as words.
 * Throws DATA_NOT_FOUND where the file cannot be opened, DATA_FILE_UNREADABLE where it is no whole Parquet file or claims more
 * than the limits, DATA_CONFIG_INVALID for a column that is not there or holds lists or groups.
 */
export function parquetRows(path: string, skipped: SkipList): ReadRows {
  return async function* (columns) {
    const handle = await open(path, 'r').catch((cause: unknown) => {
      throw new GraftError('DATA_NOT_FOUND', `${path} cannot be read`, { cause });
    });
    try {
      const file = await bufferOf(handle);
      const metadata = await readable(path, () => readMetadata(file));
      const wanted = columns ?? flatColumns(metadata);
      checkColumns(path, metadata, wanted);
      let rowStart = 0;
      for (const group of metadata.row_groups) {
        const rowEnd = rowStart + Number(group.num_rows);
        const rows = await readable(path, async () => {
          for (const chunk of chunksOf(group, wanted)) checkPages(await bytesOf(file, chunk), chunk);
          return readGroup({ file, metadata, rowStart, rowEnd, columns: [...new Set(wanted)] });
        });
        yield* cellsOf(rows, { wanted, rowStart, skipped });
        rowStart = rowEnd;
      }
    } finally {
      await handle.close();
    }
  };
}

type RowGroup = FileMetaData['row_groups'][number];

/** The file as the library reads it; a place outside the file is an error, not an empty answer. */
async function bufferOf(handle: FileHandle): Promise<AsyncBuffer> {
  const { size } = await handle.stat();
  return {
    byteLength: size,
    slice: async (start, end = size) => {
      const length = end - start;
      if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || length < 0 || end > size) {
        throw new RangeError(`it points to bytes ${start} to ${end}, the file has ${size}`);
      }
      if (length > dataLimits.parquetChunkBytes) {
        throw new RangeError(
          `a column of a row group has ${length} bytes, the limit is ${dataLimits.parquetChunkBytes}`,
        );
      }
      const bytes = new Uint8Array(length);
      let done = 0;
      while (done < length) {
        const { bytesRead } = await handle.read(bytes, done, length - done, start + done);
        if (bytesRead === 0) throw new RangeError(`the file ends at ${start + done}`);
        done += bytesRead;
      }
      return bytes.buffer;
    },
  };
}

async function readMetadata(file: AsyncBuffer): Promise<FileMetaData> {
  if (file.byteLength < 12) throw new RangeError(`a file of ${file.byteLength} bytes is too short`);
  const end = new DataView(await file.slice(file.byteLength - 8));
  if (end.getUint32(4, true) !== 0x31524150) throw new RangeError('it does not end with PAR1');
  const footer = end.getUint32(0, true);
  if (footer > dataLimits.parquetFooterBytes) {
    throw new RangeError(`its footer claims ${footer} bytes, the limit is ${dataLimits.parquetFooterBytes}`);
  }
  const metadata = await parquetMetadataAsync(file);
  checkCounts(metadata);
  return metadata;
}

function checkCounts({ schema, row_groups: groups, num_rows: rows }: FileMetaData): void {
  if (schema.length > dataLimits.columns) {
    throw new RangeError(`it has ${schema.length} columns, the limit is ${dataLimits.columns}`);
  }
  const negative = [rows, ...groups.map((group) => group.num_rows)].find((count) => count < 0n);
  if (negative !== undefined) throw new RangeError(`it claims ${negative} rows`);
  const sum = groups.reduce((total, group) => total + group.num_rows, 0n);
  if (sum !== rows) throw new RangeError(`its row groups have ${sum} rows, its footer says ${rows}`);
  if (rows > BigInt(limits.examplesPerUpdate)) {
    throw new RangeError(`it has ${rows} rows, the limit is ${limits.examplesPerUpdate}`);
  }
}

/** Columns that are no lists or groups. */
function flatColumns({ schema }: FileMetaData): string[] {
  const [root, ...rest] = schema;
  const flat: string[] = [];
  let skip = 0;
  for (const element of rest.slice(0, root === undefined ? 0 : rest.length)) {
    if (skip > 0) skip += (element.num_children ?? 0) - 1;
    else if ((element.num_children ?? 0) > 0) skip = element.num_children ?? 0;
    else if (element.repetition_type !== 'REPEATED') flat.push(element.name);
  }
  return flat;
}

function checkColumns(path: string, metadata: FileMetaData, wanted: readonly string[]): void {
  const flat = flatColumns(metadata);
  const known = new Set(flat);
  const all = new Set(metadata.schema.slice(1).map(({ name }) => name));
  for (const column of wanted) {
    if (known.has(column)) continue;
    if (!all.has(column)) missing(path, column, flat);
    throw new GraftError(
      'DATA_CONFIG_INVALID',
      `column '${column}' of ${path} holds lists or groups, expected single values`,
    );
  }
}

function chunksOf(group: RowGroup, wanted: readonly string[]): ColumnChunk[] {
  const names = new Set(wanted);
  return group.columns.flatMap(({ meta_data: data }) => {
    const [name = '', ...deeper] = data?.path_in_schema ?? [];
    if (data === undefined || deeper.length > 0 || !names.has(name)) return [];
    const dictionary = data.dictionary_page_offset;
    const start =
      dictionary !== undefined && dictionary > 0n && dictionary < data.data_page_offset
        ? dictionary
        : data.data_page_offset;
    return [{ name, start: Number(start), length: Number(data.total_compressed_size), rows: Number(group.num_rows) }];
  });
}

async function bytesOf(file: AsyncBuffer, { start, length }: ColumnChunk): Promise<Uint8Array> {
  return new Uint8Array(await file.slice(start, start + length));
}

interface GroupRequest {
  readonly file: AsyncBuffer;
  readonly metadata: FileMetaData;
  readonly rowStart: number;
  readonly rowEnd: number;
  readonly columns: string[];
}

async function readGroup(request: GroupRequest): Promise<Record<string, unknown>[]> {
  let rows: Record<string, unknown>[] = [];
  await parquetRead({ ...request, compressors, rowFormat: 'object', onComplete: (all) => (rows = all) });
  if (rows.length !== request.rowEnd - request.rowStart) {
    throw new RangeError(`a row group has ${rows.length} rows, its footer says ${request.rowEnd - request.rowStart}`);
  }
  return rows;
}

interface Place {
  readonly wanted: readonly string[];
  readonly rowStart: number;
  readonly skipped: SkipList;
}

function* cellsOf(rows: readonly Record<string, unknown>[], { wanted, rowStart, skipped }: Place): Generator<TableRow> {
  for (const [i, row] of rows.entries()) {
    const name = `row ${rowStart + i + 1}`;
    const cells: Cell[] = [];
    let reason: string | undefined;
    for (const column of wanted) {
      const cell = cellOf(row[column]);
      if (cell === undefined) reason ??= `column ${column} is neither a number nor a text`;
      else if (typeof cell === 'string' && cell.includes('\0')) reason ??= `column ${column} holds a NUL byte`;
      else cells.push(cell);
    }
    if (reason === undefined) yield { cells, name };
    else skipped.add(name, reason);
  }
}

function cellOf(value: unknown): Cell | undefined {
  if (value === null || value === undefined) return null;
  if (typeof value === 'number' || typeof value === 'string') return value;
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (typeof value === 'boolean') return String(value);
  if (value instanceof Date && !Number.isNaN(value.getTime())) return value.toISOString();
  return undefined;
}

/** The library throws errors of many kinds at a file that is damaged. */
async function readable<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (cause instanceof GraftError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GraftError('DATA_FILE_UNREADABLE', `${path} cannot be read as Parquet: ${reason.slice(0, 200)}`, {
      cause,
    });
  }
}
