/** Tables that fit a terminal: the least important columns go first, then long texts are cut. Pure. */

export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => string;
  /** The least important column has the highest rank and goes first; rank 0 stays. */
  readonly rank: number;
  /** Numbers stand to the right. */
  readonly isNumber?: boolean;
  /** The cells that a text may be cut down to; without it a column is shown whole or not at all. */
  readonly least?: number;
}

const gap = 2;

/** Lines of a table, none longer than `width` where that is possible. Columns without any value are left out. */
export function fitTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[], width: number): string[] {
  const cells = columns.map((column) => rows.map((row) => plain(column.cell(row))));
  let shown = columns
    .map((column, index) => ({ column, cells: cells[index] ?? [] }))
    .filter(({ column, cells: own }) => column.rank === 0 || own.some((text) => text !== ''))
    .map((one) => ({ ...one, whole: Math.max(one.column.title.length, ...one.cells.map((text) => text.length)) }));
  const least = ({ column, whole }: (typeof shown)[number]): number => Math.min(whole, column.least ?? whole);
  const needed = (): number => shown.reduce((total, one) => total + least(one), gap * (shown.length - 1));
  while (needed() > width) {
    const rank = Math.max(...shown.map(({ column }) => column.rank));
    if (rank === 0) break;
    shown = shown.filter(({ column }) => column.rank !== rank);
  }
  let spare = Math.max(0, width - needed());
  const widths = shown.map((one) => {
    const extra = Math.min(spare, one.whole - least(one));
    spare -= extra;
    return least(one) + extra;
  });
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, index) => {
        const size = widths[index] ?? 0;
        return shown[index]?.column.isNumber ? text.padStart(size) : cut(text, size).padEnd(size);
      })
      .join(' '.repeat(gap))
      .trimEnd();
  return [
    line(shown.map(({ column }) => column.title)),
    ...rows.map((_, row) => line(shown.map(({ cells: own }) => own[row] ?? ''))),
  ];
}

/** The text in at most `size` cells, with an ellipsis where something is missing. */
export function cut(text: string, size: number): string {
  return text.length <= size ? text : `${text.slice(0, Math.max(0, size - 1))}…`;
}

/** What others wrote, without what would move the cursor, colour the screen or break the line. */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ');
}

/** Words in lines of at most `width`; the lines after the first begin with `indent` blanks. */
export function wrap(text: string, width: number, indent: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (longer.length <= width || line === '') line = longer;
    else {
      lines.push(line);
      line = ' '.repeat(indent) + word;
    }
  }
  return [...lines, line];
}
