/** A file of rows as examples see it, whatever its format. */
import type { Cell } from '@graft/models/pipeline/kinds/tabular-row';

export interface TableRow {
  /** Cells of the columns that were asked for, in that order; null where there is none. */
  readonly cells: readonly Cell[];
  /** For people: 'row 17'. */
  readonly name: string;
}

/** All rows of a file that can be read, in their order. Without columns: all of them, in the order of the file. */
export type ReadRows = (columns: readonly string[] | undefined) => AsyncIterable<TableRow>;
