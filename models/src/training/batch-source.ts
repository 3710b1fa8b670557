/** Where a training gets its batches from: memory, a cache of features on disk, or augmented examples that are decoded as it goes. */
import { GraftError } from '@graft/core/error';
import { bytesOf, bytesPerElement, elementCount, tensorFromBytes, type Tensor } from '@graft/core/tensor';

import type { Feeds } from '../runtime/runtime.js';

export interface BatchSource {
  /** Number of examples. */
  readonly count: number;
  /**
   * Feeds of these rows by name of the graph's inputs, model inputs and targets alike, each with the rows as first dimension.
   * Augmentation draws by `epoch`, so that a resumed training sees what it would have seen. The next batch is asked for
   * while this one is in use: what is returned stays as it is until the next call but one.
   */
  batch(rows: readonly number[], epoch: number): Feeds | Promise<Feeds>;
}

/**
 * Batches of tensors in memory, [count, ...] each, gathered into the same memory again and again.
 * Throws DATA_EMPTY without rows, DATA_UNSUITABLE where the tensors differ in their number of rows.
 */
export function batchesOf(values: Readonly<Record<string, Tensor>>): BatchSource {
  const entries = Object.entries(values);
  const [[first, { shape: firstShape }] = ['', { shape: [] }]] = entries;
  const [count = 0] = firstShape;
  if (count === 0) throw new GraftError('DATA_EMPTY', 'there is no example to train on');
  const other = entries.find(([, { shape }]) => shape[0] !== count);
  if (other !== undefined) {
    const [name, { shape }] = other;
    throw new GraftError('DATA_UNSUITABLE', `'${first}' has ${count} rows and '${name}' has ${shape[0] ?? 'none'}`);
  }
  const gatherers = entries.map(([name, value]) => [name, gathererOf(value)] as const);
  return { count, batch: (rows) => Object.fromEntries(gatherers.map(([name, gather]) => [name, gather(rows)])) };
}

/** Copies rows of a tensor into two buffers in turn. */
function gathererOf(value: Tensor): (rows: readonly number[]) => Tensor {
  const { dtype, shape } = value;
  const [, ...rest] = shape;
  const rowBytes = elementCount(rest) * bytesPerElement[dtype];
  const source = bytesOf(value);
  let [now, next] = [new Uint8Array(0), new Uint8Array(0)];
  return (rows) => {
    [now, next] = [next, now];
    if (now.length < rows.length * rowBytes) now = new Uint8Array(rows.length * rowBytes);
    for (const [i, row] of rows.entries()) now.set(source.subarray(row * rowBytes, (row + 1) * rowBytes), i * rowBytes);
    return tensorFromBytes(dtype, [rows.length, ...rest], now.subarray(0, rows.length * rowBytes));
  };
}
