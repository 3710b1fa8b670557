/** Labelled examples as data: where each one lies, and a hash that stays the same wherever the file is moved. */

export type ExampleSource =
  { readonly kind: 'image'; readonly path: string } | { readonly kind: 'features'; readonly values: Float32Array };

export interface Example {
  /** For people: a path below the data's folder, or 'row 17'. */
  readonly name: string;
  /** sha256 of the content (image bytes, or the row's numbers as written), hex. The label is not part of it. */
  readonly hash: string;
  /** The task's label, after the mapping of data.yaml. */
  readonly label: string;
  readonly source: ExampleSource;
}

export interface SkippedRecord {
  readonly name: string;
  readonly reason: string;
}

export interface Dataset {
  readonly kind: ExampleSource['kind'];
  /** In order of hash, so that the order does not depend on names. */
  readonly examples: readonly Example[];
  /** The first hundred records that cannot be used; `skippedCount` counts them all. */
  readonly skipped: readonly SkippedRecord[];
  readonly skippedCount: number;
}

/** What is said of a data set on the wire and to people. */
export interface DataSummary {
  readonly kind: ExampleSource['kind'];
  readonly training: number;
  readonly heldOut: number;
  readonly skipped: readonly SkippedRecord[];
  readonly skippedCount: number;
  /** Examples a label, most frequent first. */
  readonly labels: readonly (readonly [label: string, count: number])[];
}

/** Limits on a site's data. */
export const dataLimits = {
  /** One image file: larger ones are archives or mistakes, and would be decoded into gigabytes. */
  imageBytes: 64 << 20,
  /** One row of a CSV file. */
  rowBytes: 16 << 20,
  /** Records that are named when they are skipped; all are counted. */
  namedSkips: 100,
} as const;

/** Gathers what is skipped without growing past the limit. */
export class SkipList {
  readonly named: SkippedRecord[] = [];
  count = 0;

  add(name: string, reason: string): void {
    this.count += 1;
    if (this.named.length < dataLimits.namedSkips) this.named.push({ name, reason });
  }
}

/** By hash, then by name. */
export function inOrder(examples: readonly Example[]): Example[] {
  return [...examples].sort((a, b) => compare(a.hash, b.hash) || compare(a.name, b.name));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
