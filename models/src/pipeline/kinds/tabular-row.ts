/** A row of named columns as the tensors of a tabular model. */
import { GraftError } from '@graft/core/error';
import { tensor } from '@graft/core/tensor';

import type { ExampleTensors } from '../batches/example-tensors.js';
import type { TabularPreprocessing } from '../preprocessing.js';

/** A number, a word, or a value that is missing. */
export type Cell = number | string | null;

/** Cells by position; the columns are those of the whole data set. */
export interface Row {
  readonly columns: readonly string[];
  readonly cells: readonly Cell[];
}

type Column = TabularPreprocessing['columns'][number];
type Numeric = Extract<Column, { kind: 'numeric' }>;
type Category = Extract<Column, { kind: 'category' }>;

/** Turns rows into tensors; made once for many rows, since vocabularies are long. */
export type RowEncoder = (row: Row, name: string) => ExampleTensors;

/**
 * 'numbers' float32 [width]: (x - mean) / std of each numeric column and a one-hot block of each other one, in order of the columns;
 * 'categories' int64 [count]: the place in the vocabulary of each column that is encoded as an index.
 * The encoder throws DATA_UNSUITABLE where a column of the task is not among the row's, RECORD_UNUSABLE that names the
 * record, column and value for a value that is missing, no number or not in the vocabulary, unless the task says what it becomes.
 */
export function rowEncoder({ columns }: TabularPreprocessing): RowEncoder {
  const vocabularies = columns.map((column) =>
    column.kind === 'category' ? new Map(column.vocabulary.map((word, i) => [word, i])) : undefined,
  );
  const width = columns.reduce((sum, column) => sum + widthOf(column), 0);
  let known: { readonly columns: readonly string[]; readonly positions: readonly number[] } | undefined;
  return (row, name) => {
    if (known?.columns !== row.columns)
      known = { columns: row.columns, positions: positionsOf(columns, row.columns, name) };
    const numbers = new Float32Array(width);
    const indices: bigint[] = [];
    let at = 0;
    for (const [i, column] of columns.entries()) {
      const cell = row.cells[known.positions[i] ?? -1] ?? null;
      if (column.kind === 'numeric') numbers[at] = standardised(cell, column, name);
      else {
        const index = wordOf(cell, { column, vocabulary: vocabularies[i] ?? new Map(), name });
        if (column.encoding === 'index') indices.push(BigInt(index));
        else if (index < column.vocabulary.length) numbers[at + index] = 1;
      }
      at += widthOf(column);
    }
    return {
      ...(width > 0 && { numbers: tensor('float32', [width], numbers) }),
      ...(indices.length > 0 && { categories: tensor('int64', [indices.length], BigInt64Array.from(indices)) }),
    };
  };
}

function widthOf(column: Column): number {
  if (column.kind === 'numeric') return 1;
  return column.encoding === 'one-hot' ? column.vocabulary.length : 0;
}

function positionsOf(wanted: readonly Column[], have: readonly string[], record: string): number[] {
  const places = new Map(have.map((name, i) => [name, i]));
  return wanted.map(({ name }) => {
    const place = places.get(name);
    if (place !== undefined) return place;
    const known = have.slice(0, 12).join(', ') + (have.length > 12 ? ', …' : '');
    throw new GraftError('DATA_UNSUITABLE', `the task takes column '${name}', ${record} has ${known}`, {
      details: { column: name },
    });
  });
}

function standardised(cell: Cell, { name, mean, std, missing }: Numeric, record: string): number {
  const value = cell === null || cell === '' ? (missing === 'mean' ? mean : missing) : cell;
  if (value === 'skip') throw unusable(`${record} has no ${name}`);
  const result = (Number(value) - mean) / std;
  if (!Number.isFinite(Math.fround(result)))
    throw unusable(`${record} has ${name} '${shown(value)}', which is no finite number`);
  return result;
}

interface Word {
  readonly column: Category;
  readonly vocabulary: ReadonlyMap<string, number>;
  readonly name: string;
}

/** The word's place; the vocabulary's length for a word that it has not. */
function wordOf(cell: Cell, { column, vocabulary, name }: Word): number {
  const index = cell === null ? undefined : vocabulary.get(String(cell));
  if (index !== undefined) return index;
  if (column.unknown === 'other') return column.vocabulary.length;
  const what = cell === null || cell === '' ? `no ${column.name}` : `${column.name} '${shown(cell)}'`;
  throw unusable(`${name} has ${what}, which is not in the task's vocabulary of ${column.vocabulary.length}`);
}

const shown = (cell: Cell): string => String(cell).slice(0, 40);
const unusable = (message: string): GraftError => new GraftError('RECORD_UNUSABLE', message);
