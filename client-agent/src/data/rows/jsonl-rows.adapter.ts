/** A file of JSON objects, one a line (https://jsonlines.org). A line that cannot be read is skipped, counted and named. */
import { isUtf8 } from 'node:buffer';

import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import type { Cell } from '@graft/models/pipeline/kinds/tabular-row';

import { dataLimits, type SkipList } from '../dataset.js';
import type { ReadRows } from './table.js';
import { fallbackDecoder, openText, type Decoder } from './text-encoding.adapter.js';

export interface JsonlFile {
  readonly path: string;
  readonly encoding?: string | undefined;
  readonly fallbackEncoding?: string | undefined;
}

const newline = 0x0a;

/**
 * Fields by name; numbers and texts as they are, true and false as words, null and an absent field as missing.
 * Throws DATA_NOT_FOUND where the file cannot be read.
 */
export function jsonlRows(file: JsonlFile, skipped: SkipList): ReadRows {
  return async function* (columns = []) {
    const fallback = fallbackDecoder(file.fallbackEncoding);
    const { bytes } = await openText(file.path, file.encoding);
    let count = 0;
    for await (const line of linesOf(bytes)) {
      count += 1;
      if (count > limits.examplesPerUpdate) {
        throw new GraftError(
          'DATA_CONFIG_INVALID',
          `${file.path} has more than ${limits.examplesPerUpdate} lines, the limit`,
        );
      }
      const name = `line ${count}`;
      const cells = typeof line === 'number' ? tooLong(line) : readLine(line, columns, fallback);
      if (typeof cells === 'string') skipped.add(name, cells);
      else if (cells !== undefined) yield { cells, name };
    }
  };
}

const tooLong = (length: number): string => `the line has ${length} bytes, the limit is ${dataLimits.rowBytes}`;

/** The cells, why there are none, or undefined for a line of white space. */
function readLine(
  line: Buffer,
  columns: readonly string[],
  fallback: Decoder | undefined,
): Cell[] | string | undefined {
  if (!isUtf8(line) && fallback === undefined) return 'not UTF-8; set encoding or fallbackEncoding, e.g. windows-1252';
  const text = isUtf8(line) ? line.toString('utf8') : (fallback?.decode(line) ?? '');
  if (text.trim() === '') return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof RangeError) return `not JSON: ${error.message.slice(0, 80)}`;
    throw error;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'not a JSON object';
  const cells: Cell[] = [];
  for (const column of columns) {
    const field: unknown = Object.hasOwn(value, column) ? Reflect.get(value, column) : null;
    if (typeof field === 'boolean') cells.push(String(field));
    else if (field === null || typeof field === 'number' || typeof field === 'string') cells.push(field);
    else return `field ${column} is ${Array.isArray(field) ? 'a list' : 'an object'}, expected a text or a number`;
    if (typeof field === 'string' && field.includes('\0')) return `field ${column} holds a NUL byte`;
  }
  return cells;
}

/** Lines without their ends; of one over the limit only its length, so that it is never in memory as a whole. */
async function* linesOf(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer | number> {
  let parts: Buffer[] = [];
  let length = 0;
  const take = (): Buffer | number => {
    const line = length > dataLimits.rowBytes ? length : Buffer.concat(parts);
    parts = [];
    length = 0;
    return line;
  };
  const add = (part: Buffer): void => {
    length += part.length;
    if (length > dataLimits.rowBytes) parts = [];
    else parts.push(part);
  };
  for await (const chunk of bytes) {
    let begin = 0;
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, begin)) {
      add(chunk.subarray(begin, end));
      yield take();
      begin = end + 1;
    }
    if (begin < chunk.length) add(chunk.subarray(begin));
  }
  if (length > 0) yield take();
}
