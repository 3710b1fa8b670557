/** Says of operators whether the runtime tfjs has them: its kernel table is the truth. */
import type { OperatorRows } from '../../operators/operator.js';
import { kernelTable } from './kernels/kernel-table.js';

/** The rows with 'tfjs' among the runtimes of each operator that has a kernel. */
export function withTfjs(rows: OperatorRows): OperatorRows {
  return Object.fromEntries(
    Object.entries(rows).map(([op, row]) => {
      if (!Object.hasOwn(kernelTable, op)) return [op, row];
      return [op, { ...row, runtimes: [...row.runtimes, 'tfjs'] }];
    }),
  );
}
