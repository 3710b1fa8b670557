import { operatorTable } from '../../operators/operator-table.js';
import { kernelTable } from './kernels/kernel-table.js';

const rowsOf = (test: (row: (typeof operatorTable)[string]) => boolean | undefined): string[] =>
  Object.entries(operatorTable).flatMap(([op, row]) => (test(row) === true ? [op] : []));

/** May only grow. */
const kernelsAtLeast = 146;

describe('the column tfjs of the operator table', () => {
  it('names exactly the operators that have a kernel', () => {
    expect(new Set(rowsOf((row) => row?.runtimes.includes('tfjs')))).toEqual(new Set(Object.keys(kernelTable)));
  });

  it('has at least as many operators as before', () => {
    expect(rowsOf((row) => row?.runtimes.includes('tfjs')).length).toBeGreaterThanOrEqual(kernelsAtLeast);
  });

  it('has every operator that has a gradient', () => {
    expect(rowsOf((row) => typeof row?.gradient === 'function' && !row.runtimes.includes('tfjs'))).toEqual([]);
  });
});
