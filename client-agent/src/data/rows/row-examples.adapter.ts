/** Rows of a table as labelled examples: an image, numbers, a tabular row or a text each, as data.yaml says. */
import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

import { GraftError } from '@graft/core/error';
import type { Cell } from '@graft/models/pipeline/kinds/tabular-row';

import type { TableConfig } from '../../config/data-config.js';
import { dataLimits, type Example, type ExampleSource, type SkipList } from '../dataset.js';
import type { HashIndex } from '../hash-index.adapter.js';
import { hashAll } from '../image-folder.adapter.js';
import type { ReadRows } from './table.js';

interface Gathering {
  readonly skipped: SkipList;
  readonly index: HashIndex;
}

/** Between the cells of a hash: U+001F, the unit separator. */
const separator = '\u001f';

/** Throws what reading throws; DATA_CONFIG_INVALID where the texts are more than the memory should hold. */
export async function rowExamples(
  config: TableConfig,
  read: ReadRows,
  { skipped, index }: Gathering,
): Promise<Example[]> {
  const { path, label, image, columns, numeric, categorical, text, pair } = config;
  if (image !== undefined) return imageExamples(config, read, { skipped, index });
  const make =
    columns !== undefined
      ? numbersOf(columns)
      : text !== undefined
        ? textsOf(path, pair !== undefined)
        : namedCells(Object.keys(numeric ?? {}), Object.keys(categorical ?? {}));
  const wanted =
    columns ??
    (text !== undefined
      ? [text, ...(pair === undefined ? [] : [pair])]
      : [...Object.values(numeric ?? {}), ...Object.values(categorical ?? {})]);
  const examples: Example[] = [];
  for await (const { cells, name } of read([label, ...wanted])) {
    const [word = null, ...values] = cells;
    if (word === null || word === '') {
      skipped.add(name, 'no label');
      continue;
    }
    const made = make(values);
    if (typeof made === 'string') skipped.add(name, made);
    else examples.push({ name, hash: hashOf(values), label: String(word), source: made });
  }
  return examples;
}

/** An example's source, or why there is none. */
type Make = (cells: readonly Cell[]) => ExampleSource | string;

function numbersOf(names: readonly string[]): Make {
  return (cells) => {
    const wrong = cells.findIndex((cell) => cell === null || cell === '' || !Number.isFinite(Number(cell)));
    if (wrong === -1) return { kind: 'features', values: Float32Array.from(cells, Number) };
    return `column ${names[wrong]} is not a number: '${shown(cells[wrong] ?? '')}'`;
  };
}

/** Numbers are parsed and words kept; what is missing stays so, the task decides. */
function namedCells(numeric: readonly string[], categorical: readonly string[]): Make {
  const columns = [...numeric, ...categorical];
  return (cells) => {
    const values: Cell[] = [];
    for (const [i, cell] of cells.entries()) {
      if (cell === null || cell === '') values.push(null);
      else if (i >= numeric.length) values.push(String(cell));
      else {
        const number = Number(cell);
        if (!Number.isFinite(number)) return `column ${numeric[i]} is not a number: '${shown(cell)}'`;
        values.push(number);
      }
    }
    return { kind: 'row', columns, cells: values };
  };
}

function textsOf(path: string, hasPair: boolean): Make {
  let bytes = 0;
  return ([text = null, pair = null]) => {
    if (text === null || text === '') return 'no text';
    if (hasPair && pair === null) return 'no second text';
    bytes += 2 * (String(text).length + String(pair ?? '').length);
    if (bytes > dataLimits.textBytes) {
      throw new GraftError(
        'DATA_CONFIG_INVALID',
        `the texts of ${path} are over ${dataLimits.textBytes} bytes, the limit`,
      );
    }
    return { kind: 'text', text: String(text), ...(hasPair && { pair: String(pair) }) };
  };
}

async function imageExamples(config: TableConfig, read: ReadRows, gathering: Gathering): Promise<Example[]> {
  const { path, label, image = '', imageFolder } = config;
  const folder = imageFolder === undefined ? dirname(path) : resolve(dirname(path), imageFolder);
  const files: { label: string; path: string }[] = [];
  for await (const { cells, name } of read([label, image])) {
    const [word = null, file = null] = cells;
    if (word === null || word === '') gathering.skipped.add(name, 'no label');
    else if (file === null || file === '') gathering.skipped.add(name, 'no image path');
    else if (String(file).includes('\0')) gathering.skipped.add(name, 'the image path has a NUL byte');
    else files.push({ label: String(word), path: resolve(folder, String(file)) });
  }
  return hashAll(await realpath(folder).catch(() => folder), files, gathering);
}

function hashOf(cells: readonly Cell[]): string {
  return createHash('sha256')
    .update(cells.map((cell) => cell ?? '').join(separator))
    .digest('hex');
}

const shown = (cell: Cell): string => String(cell).slice(0, 40);
