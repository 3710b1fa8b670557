/** Features of many examples, each computed at most once and then taken from a store. */
import { elementCount, tensor, type Tensor } from '@graft/core/tensor';

import { computeFeatures, type Trunk } from './features.js';

/** Features by example hash, for one trunk and one preprocessing. */
export interface FeatureStore {
  get(exampleHash: string): Float32Array | undefined;
  put(exampleHash: string, features: Float32Array): void;
}

export interface FeatureExample {
  readonly hash: string;
  /** Decodes the example; called only where the store does not have its features. */
  load(): Promise<Tensor<'float32'>>;
}

export interface FeatureWork {
  readonly examples: readonly FeatureExample[];
  readonly batchSize: number;
  readonly onProgress?: (done: number) => void;
}

/**
 * float32 [examples, ...shape], in the order of the examples. Of examples with one hash the trunk sees one.
 * Throws MODEL_MALFORMED where the trunk gives another shape, and whatever `load` throws.
 */
export async function cachedFeatures(trunk: Trunk, store: FeatureStore, work: FeatureWork): Promise<Tensor<'float32'>> {
  const { examples, batchSize, onProgress } = work;
  const length = elementCount(trunk.shape);
  const rows = new Float32Array(examples.length * length);
  const missing = new Map<string, { example: FeatureExample; rows: number[] }>();
  for (const [row, example] of examples.entries()) {
    const known = store.get(example.hash);
    if (known !== undefined) rows.set(known, row * length);
    else if (missing.has(example.hash)) missing.get(example.hash)?.rows.push(row);
    else missing.set(example.hash, { example, rows: [row] });
  }
  const pending = [...missing.values()];
  let done = examples.length - pending.reduce((sum, { rows }) => sum + rows.length, 0);
  onProgress?.(done);
  for (let begin = 0; begin < pending.length; begin += batchSize) {
    const batch = pending.slice(begin, begin + batchSize);
    const loaded = await Promise.all(batch.map(({ example }) => example.load()));
    let i = 0;
    for await (const { data } of computeFeatures(trunk, { examples: loaded, batchSize })) {
      const entry = batch[i++];
      if (entry === undefined) break;
      store.put(entry.example.hash, data);
      for (const row of entry.rows) rows.set(data, row * length);
      done += entry.rows.length;
    }
    onProgress?.(done);
  }
  return tensor('float32', [examples.length, ...trunk.shape], rows);
}
