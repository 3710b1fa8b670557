/** The features of a site's examples: from the cache on the disk, else by the trunk, which sees each example once. */
import { GraftError } from '@graft/core/error';
import { elementCount, tensor, type Tensor } from '@graft/core/tensor';
import { sha256 } from '@graft/models/formats/sha256.adapter';
import { FeatureCache } from '@graft/models/pipeline/feature-cache.adapter';
import { stack } from '@graft/models/pipeline/features';
import type { Pipeline } from '@graft/models/pipeline/pipeline';
import { exampleShape, type Preprocessing } from '@graft/models/pipeline/preprocessing';

import type { Example } from '../data/dataset.js';
import { runOne } from './predict-job.adapter.js';
import { preprocess } from './preprocess.adapter.js';
import { partKey, type ResidentSession, type ResidentSessions } from './resident-sessions.adapter.js';
import type { JobControl } from './serve.driver.js';
import type { TrainerPlaces } from './trainer-calls.js';

/** Examples a run of the trunk: large enough for its kernels, small enough for the memory of a small site. */
const trunkBatch = 16;

/** Features of all trunks together, on the disk. */
const cacheBytes = 4e9;

/** Caches that stay open: of the trunk in use, its int8 form, and those of the task before. */
const keptCaches = 4;

export interface ExampleFeatures {
  /** The examples that could be read, in their order. */
  readonly examples: readonly Example[];
  /** One an example, without a batch dimension. */
  readonly features: readonly Tensor<'float32'>[];
  readonly unreadable: readonly SkippedExample[];
}

interface SkippedExample {
  readonly name: string;
  readonly reason: string;
}

type Parts = Pick<Pipeline, 'preprocessing' | 'trunk'>;

interface OpenCache {
  readonly cache: FeatureCache;
  /** Of one example's features. */
  readonly shape: readonly number[];
}

export class Features {
  private readonly open = new Map<string, OpenCache>();

  constructor(private readonly sessions: ResidentSessions) {}

  /** Throws DATA_UNSUITABLE where an example is of another kind than the model takes, DATA_EMPTY where none can be read. */
  async of(
    examples: readonly Example[],
    parts: Parts,
    { places, signal, onProgress }: JobControl & { readonly places: TrainerPlaces },
  ): Promise<ExampleFeatures> {
    const trunk = parts.trunk === undefined ? undefined : await this.sessions.part(parts.trunk, places.blobs);
    const declared = declaredShape(parts.preprocessing, trunk);
    if (declared !== undefined) this.cacheOf(parts, places, declared);
    const found = new Map<string, Tensor<'float32'>>();
    const unreadable: SkippedExample[] = [];
    for (let begin = 0; begin < examples.length; begin += trunkBatch) {
      signal.throwIfAborted();
      const batch = examples.slice(begin, begin + trunkBatch);
      const missing = batch.filter(({ hash }) => !this.take(hash, { parts, places, found }));
      for (const [hash, features] of await compute(missing, parts, { trunk, unreadable })) {
        found.set(hash, features);
        this.cacheOf(parts, places, features.shape).cache.put(hash, features.data);
      }
      onProgress({ activity: 'features', progress: (begin + batch.length) / examples.length });
    }
    const usable = examples.filter(({ hash }) => found.has(hash));
    if (usable.length === 0) {
      const first = unreadable[0]?.reason ?? 'there is none';
      throw new GraftError('DATA_EMPTY', `none of ${examples.length} examples can be read: ${first}`);
    }
    return { examples: usable, features: usable.flatMap(({ hash }) => found.get(hash) ?? []), unreadable };
  }

  /** Whether the features of an example are in the cache; puts them into `found`. */
  private take(hash: string, { parts, places, found }: Taking): boolean {
    const opened = this.open.get(keyOf(parts, places));
    const data = opened?.cache.get(hash);
    if (opened === undefined || data === undefined) return found.has(hash);
    found.set(hash, tensor('float32', opened.shape, data));
    return true;
  }

  /** Opened as soon as the shape is known: from the graph, else once the trunk has seen a batch in this process. */
  private cacheOf(parts: Parts, places: TrainerPlaces, shape: readonly number[]): OpenCache {
    const key = keyOf(parts, places);
    const known = this.open.get(key);
    if (known !== undefined) return known;
    const cache = new FeatureCache({
      directory: places.features,
      trunkHash: sha256(encode(parts.trunk === undefined ? 'no trunk' : partKey(parts.trunk))),
      preprocessingHash: sha256(encode(JSON.stringify(parts.preprocessing))),
      length: elementCount(shape),
      maxBytes: cacheBytes,
      nowMs: () => Date.now(),
    });
    this.open.set(key, { cache, shape });
    for (const [other, { cache: unused }] of this.open) {
      if (this.open.size <= keptCaches) break;
      this.open.delete(other);
      unused.close();
    }
    return { cache, shape };
  }
}

/** The shape of one example's features where the graph declares it. */
function declaredShape(preprocessing: Preprocessing, trunk: ResidentSession | undefined): number[] | undefined {
  const shape = trunk === undefined ? exampleShape(preprocessing) : trunk.outputs[0]?.shape?.slice(1);
  const sizes = shape?.filter((size) => typeof size === 'number');
  return sizes?.length === shape?.length ? sizes : undefined;
}

interface Taking {
  readonly parts: Parts;
  readonly places: TrainerPlaces;
  readonly found: Map<string, Tensor<'float32'>>;
}

interface Computing {
  readonly trunk: ResidentSession | undefined;
  readonly unreadable: SkippedExample[];
}

/** By hash. Images are decoded side by side; the trunk runs on this thread. */
async function compute(
  examples: readonly Example[],
  { preprocessing }: Parts,
  { trunk, unreadable }: Computing,
): Promise<(readonly [string, Tensor<'float32'>])[]> {
  const inputs = await Promise.all(
    examples.map(async ({ hash, source, name }) => {
      try {
        return [hash, await preprocess(source, preprocessing, name)] as const;
      } catch (error) {
        if (!(error instanceof GraftError) || error.code !== 'IMAGE_UNREADABLE') throw error;
        unreadable.push({ name, reason: error.message });
        return undefined;
      }
    }),
  );
  const read = inputs.filter((input) => input !== undefined);
  if (trunk === undefined || read.length === 0) return read;
  const rows = rowsOf(await runOne(trunk, stack(read.map(([, input]) => input))), read.length);
  return read.map(([hash], index) => [hash, rows[index] ?? rowOutOf(index)] as const);
}

/** Copies of the rows of a batch. Throws MODEL_MALFORMED where there is not one an example. */
function rowsOf(value: Tensor, count: number): Tensor<'float32'>[] {
  const [rows, ...shape] = value.shape;
  if (value.dtype !== 'float32' || rows !== count) {
    throw new GraftError(
      'MODEL_MALFORMED',
      `the trunk gives ${value.dtype} [${value.shape.join(', ')}] for ${count} examples`,
    );
  }
  const length = elementCount(shape);
  return Array.from({ length: count }, (_, row) =>
    tensor('float32', shape, value.data.slice(row * length, (row + 1) * length)),
  );
}

function rowOutOf(index: number): never {
  throw new RangeError(`there is no row ${index}`);
}

function keyOf({ trunk, preprocessing }: Parts, { features, blobs }: TrainerPlaces): string {
  return JSON.stringify([features, blobs, trunk === undefined ? null : partKey(trunk), preprocessing]);
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
