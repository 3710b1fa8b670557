import { exampleInputs, preprocessingSchema, type TabularPreprocessing } from '../preprocessing.js';
import { columnStatistics, withSiteStatistics } from './site-statistics.js';
import { rowEncoder, type Cell } from './tabular-row.js';

const read = (columns: readonly object[], standardise = 'task'): TabularPreprocessing => {
  const parsed = preprocessingSchema.parse({ kind: 'tabular', columns, standardise });
  if (parsed.kind !== 'tabular') throw new Error('not tabular');
  return parsed;
};

const age = { name: 'age', kind: 'numeric', mean: 40, std: 10 };
const city = { name: 'city', kind: 'category', vocabulary: ['Lund', 'Oslo', 'Bergen'] };
const row = (...cells: readonly Cell[]) => ({ columns: ['city', 'other', 'age'], cells });
const numbers = (preprocessing: TabularPreprocessing, cells: readonly Cell[]): number[] =>
  Array.from(rowEncoder(preprocessing)(row(...cells), 'row 3')['numbers']?.data ?? [], Number);

describe('a row of a table', () => {
  it('becomes standardised numbers and a block of zeros with a 1 for each word, in the order of the task', () => {
    expect(numbers(read([age, city]), ['Oslo', 'x', 60])).toEqual([2, 0, 1, 0]);
    expect(numbers(read([city, age]), ['Bergen', 'x', 25])).toEqual([0, 0, 1, -1.5]);
  });

  it('has words as numbers of the vocabulary in a tensor of their own where the task says so', () => {
    const preprocessing = read([{ ...city, encoding: 'index', unknown: 'other' }, age]);
    const made = rowEncoder(preprocessing)(row('Rome', 'x', 40), 'row 1');
    expect(made['categories']).toEqual({ dtype: 'int64', shape: [1], data: BigInt64Array.of(3n) });
    expect(made['numbers']).toEqual({ dtype: 'float32', shape: [1], data: Float32Array.of(0) });
    expect(Object.entries(made).map(([name, { dtype, shape }]) => ({ name, dtype, shape }))).toEqual(
      exampleInputs(preprocessing),
    );
  });

  it('keeps large numbers apart that float32 would make equal', () => {
    const time = { name: 'age', kind: 'numeric', mean: 1_700_000_000_000, std: 1000 };
    expect(numbers(read([time]), ['', '', 1_700_000_000_500])).toEqual([0.5]);
  });

  it.each([
    ['the mean', 'mean', 0],
    ['a number of the task', 50, 1],
  ])('has %s for a missing number where the task says so', (_, missing, expected) => {
    expect(numbers(read([{ ...age, missing }]), ['Oslo', 'x', null])).toEqual([expected]);
  });

  it('has zeros for an unknown word where the task says so', () => {
    expect(numbers(read([{ ...city, unknown: 'other' }]), ['Rome', 'x', 1])).toEqual([0, 0, 0]);
    expect(numbers(read([{ ...city, unknown: 'other' }]), [null, 'x', 1])).toEqual([0, 0, 0]);
  });

  it.each<[string, readonly Cell[], string]>([
    ['a missing number', ['Oslo', 'x', null], 'row 3 has no age'],
    ['an empty cell', ['Oslo', 'x', ''], 'row 3 has no age'],
    ['a number past float32', ['Oslo', 'x', 1e300], "age '1e+300'"],
    ['a word for a number', ['Oslo', 'x', 'old'], "age 'old'"],
    ['an unknown word', ['Rome', 'x', 30], "city 'Rome', which is not in the task's vocabulary of 3"],
    ['a missing word', [null, 'x', 30], 'no city'],
    ['the name of a property', ['__proto__', 'x', 30], "city '__proto__'"],
  ])('with %s is a record that cannot be used', (_, cells, message) => {
    expect(() => numbers(read([age, city]), cells)).toThrow(
      expect.objectContaining({ code: 'RECORD_UNUSABLE', message: expect.stringContaining(message) }),
    );
  });

  it('of a site without a column of the task is unsuitable', () => {
    expect(() => numbers(read([{ ...age, name: 'height' }]), ['Oslo', 'x', 1])).toThrow(
      expect.objectContaining({ code: 'DATA_UNSUITABLE', message: expect.stringContaining("column 'height'") }),
    );
  });

  it.each([
    ['the same column twice', [age, age]],
    ['a word twice', [{ ...city, vocabulary: ['a', 'a'] }]],
    ['no column', []],
    ['a deviation of zero', [{ ...age, std: 0 }]],
  ])('is not described by a task with %s', (_, columns) => {
    expect(preprocessingSchema.safeParse({ kind: 'tabular', columns }).success).toBe(false);
  });
});

describe("a site's statistics", () => {
  const own = read([{ name: 'age', kind: 'numeric' }, city], 'site');

  it('are mean and deviation of the numbers that are there', () => {
    const rows = [2, 4, 4, 4, 5, 5, 7, 9, null, 'x'].map((value) => row('Oslo', 'x', value));
    expect(columnStatistics(own, rows)).toEqual({ age: { mean: 5, std: 2 } });
  });

  it('do not cancel beside large numbers', () => {
    const { age: found } = columnStatistics(
      own,
      [1, 2, 3].map((value) => row('Oslo', 'x', 1e15 + value)),
    );
    expect(found?.mean).toBe(1e15 + 2);
    expect(found?.std).toBeCloseTo(Math.sqrt(2 / 3), 6);
  });

  it('standardise the site, and leave a task alone that brings its own', () => {
    const local = withSiteStatistics(own, { age: { mean: 5, std: 2 } });
    expect(numbers(local, ['Lund', 'x', 9])).toEqual([2, 1, 0, 0]);
    expect(local.standardise).toBe('task');
    const task = read([age]);
    expect(withSiteStatistics(task, { age: { mean: 5, std: 2 } })).toBe(task);
  });

  it('are harmless where all numbers are equal or there is none', () => {
    expect(columnStatistics(own, [row('Oslo', 'x', 7)])).toEqual({ age: { mean: 7, std: 1 } });
    expect(columnStatistics(own, [])).toEqual({ age: { mean: 0, std: 1 } });
  });
});
