/** Labelled examples as data: where each one lies, and a hash that stays the same wherever the file is moved. */
import type { DType } from '@graft/core/tensor';
import type { Row } from '@graft/models/pipeline/kinds/tabular-row';
import type { Text } from '@graft/models/pipeline/kinds/text-example';

export type ExampleSource =
  | { readonly kind: 'image'; readonly path: string }
  | { readonly kind: 'features'; readonly values: Float32Array }
  | ({ readonly kind: 'row' } & Row)
  | ({ readonly kind: 'text' } & Text)
  /** Numbers at a place in a file, read when they are needed. */
  | ({ readonly kind: 'tensor'; readonly path: string } & TensorPlace);

/** Where the bytes of one example lie, and what they are. */
export interface TensorPlace {
  readonly offset: number;
  readonly dtype: DType;
  /** Without the batch dimension. */
  readonly shape: readonly number[];
}

export interface Example {
  /** For people: a path below the data's folder, or 'row 17'. */
  readonly name: string;
  /** sha256 of the content (image bytes, the row's cells as written, the text, the tensor's bytes), hex. The label is not part of it. */
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
  /** One row of a CSV file, one line of a JSONL file. */
  rowBytes: 16 << 20,
  /** Columns of a table. */
  columns: 100_000,
  /** Texts of a site together: they are held in memory. */
  textBytes: 512 << 20,
  /** The footer of a Parquet file, which describes its columns. */
  parquetFooterBytes: 64 << 20,
  /** A column of a row group in a Parquet file, which is read as a whole, packed and unpacked. */
  parquetChunkBytes: 512 << 20,
  /** One example of a safetensors file. */
  tensorBytes: 64 << 20,
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
