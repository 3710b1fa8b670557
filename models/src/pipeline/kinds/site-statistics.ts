/** Mean and standard deviation of each numeric column over a site's own rows, for tasks that standardise by site. */
import type { TabularPreprocessing } from '../preprocessing.js';
import type { Row } from './tabular-row.js';

/** By column. */
export type ColumnStatistics = Readonly<Record<string, { readonly mean: number; readonly std: number }>>;

/**
 * Of the numbers that are there; the deviation is that of the whole (divided by N), and 1 where all are equal or there is none.
 * In one pass (Welford, 1962), so that large values do not cancel.
 */
export function columnStatistics({ columns }: TabularPreprocessing, rows: Iterable<Row>): ColumnStatistics {
  const running = columns.flatMap(({ name, kind }) =>
    kind === 'numeric' ? [{ name, count: 0, mean: 0, squares: 0 }] : [],
  );
  for (const { columns: have, cells } of rows) {
    for (const column of running) {
      const cell = cells[have.indexOf(column.name)] ?? null;
      if (cell === null || cell === '') continue;
      const value = Number(cell);
      if (!Number.isFinite(value)) continue;
      column.count += 1;
      const before = value - column.mean;
      column.mean += before / column.count;
      column.squares += before * (value - column.mean);
    }
  }
  return Object.fromEntries(
    running.map(({ name, count, mean, squares }) => {
      const std = Math.sqrt(squares / Math.max(1, count));
      return [name, { mean, std: std > 0 && Number.isFinite(std) ? std : 1 }];
    }),
  );
}

/** The task's preprocessing with the site's numbers in it; unchanged where the task brings its own. */
export function withSiteStatistics(
  preprocessing: TabularPreprocessing,
  statistics: ColumnStatistics,
): TabularPreprocessing {
  if (preprocessing.standardise === 'task') return preprocessing;
  const columns = preprocessing.columns.map((column) =>
    column.kind === 'numeric' ? { ...column, ...statistics[column.name] } : column,
  );
  return { ...preprocessing, columns, standardise: 'task' };
}
