/** The features of a site's examples: from memory, else from the disk, else by the trunk. */
import { GraftError } from '@graft/core/error';
import type { Tensor } from '@graft/core/tensor';
import { computeFeatures } from '@graft/models/pipeline/features';
import type { Pipeline } from '@graft/models/pipeline/pipeline';

import type { Example } from '../data/dataset.js';
import { featureKey, openFeatureStore, type FeatureStore } from './feature-store.adapter.js';
import { preprocess } from './preprocess.adapter.js';
import type { ResidentSession, ResidentSessions } from './resident-sessions.adapter.js';
import type { JobControl } from './serve.driver.js';
import type { TrainerPlaces } from './trainer-calls.js';

/** Examples a run of the trunk: large enough for its kernels, small enough for the memory of a small site. */
export const trunkBatch = 16;

/** Features kept in memory between rounds, bytes. */
const residentBytes = 512 << 20;

export interface ExampleFeatures {
  /** The examples that could be read, in their order. */
  readonly examples: readonly Example[];
  /** One an example, without a batch dimension. */
  readonly features: readonly Tensor<'float32'>[];
  readonly unreadable: readonly { readonly name: string; readonly reason: string }[];
}

type Parts = Pick<Pipeline, 'preprocessing' | 'trunk'>;

/** Features of the trainer process, resident for the trunk in use and its int8 form. */
export class Features {
  private readonly resident = new Map<string, Map<string, Tensor<'float32'>>>();
  private bytes = 0;

  constructor(private readonly sessions: ResidentSessions) {}

  /** Throws DATA_UNSUITABLE where no example is of the kind that the model takes, DATA_EMPTY where none can be read. */
  async of(
    examples: readonly Example[],
    parts: Parts,
    { places, signal, onProgress }: JobControl & { readonly places: TrainerPlaces },
  ): Promise<ExampleFeatures> {
    const key = featureKey(parts);
    const store = await openFeatureStore(places.features, key);
    const known = this.memoryOf(key);
    const trunk = parts.trunk === undefined ? undefined : await this.sessions.part(parts.trunk, places.blobs);
    const found = new Map<string, Tensor<'float32'>>();
    const unreadable: { name: string; reason: string }[] = [];
    for (let begin = 0; begin < examples.length; begin += trunkBatch) {
      signal.throwIfAborted();
      const batch = examples.slice(begin, begin + trunkBatch);
      const missing: Example[] = [];
      for (const example of batch) {
        const features = known.get(example.hash) ?? (await store.read(example.hash));
        if (features === undefined) missing.push(example);
        else found.set(example.hash, this.remember(known, example.hash, features));
      }
      for (const [hash, features] of await compute(missing, parts, { trunk, store, unreadable })) {
        found.set(hash, this.remember(known, hash, features));
      }
      onProgress({ activity: 'features', progress: Math.min(1, (begin + batch.length) / examples.length) });
    }
    const usable = examples.filter(({ hash }) => found.has(hash));
    if (usable.length === 0 && examples.length > 0) {
      throw new GraftError(
        'DATA_EMPTY',
        `none of ${examples.length} examples can be read: ${unreadable[0]?.reason ?? ''}`,
      );
    }
    return { examples: usable, features: usable.flatMap(({ hash }) => found.get(hash) ?? []), unreadable };
  }

  private memoryOf(key: string): Map<string, Tensor<'float32'>> {
    const known = this.resident.get(key) ?? new Map<string, Tensor<'float32'>>();
    this.resident.set(key, known);
    return known;
  }

  private remember(
    known: Map<string, Tensor<'float32'>>,
    hash: string,
    features: Tensor<'float32'>,
  ): Tensor<'float32'> {
    if (known.has(hash)) return features;
    if (this.bytes + features.data.byteLength > residentBytes) {
      // Starting over is simpler than choosing, and the disk has them all.
      this.resident.clear();
      this.bytes = 0;
      return features;
    }
    this.bytes += features.data.byteLength;
    known.set(hash, features);
    return features;
  }
}

interface Computing {
  readonly trunk: ResidentSession | undefined;
  readonly store: FeatureStore;
  readonly unreadable: { name: string; reason: string }[];
}

/** By hash. Images are decoded side by side; the trunk runs on this thread. */
async function compute(
  examples: readonly Example[],
  { preprocessing }: Parts,
  { trunk, store, unreadable }: Computing,
): Promise<(readonly [string, Tensor<'float32'>])[]> {
  if (examples.length === 0) return [];
  const inputs = await Promise.all(
    examples.map(async (example) => {
      try {
        return { example, input: await preprocess(example.source, preprocessing, example.name) };
      } catch (error) {
        if (!(error instanceof GraftError) || error.code !== 'IMAGE_UNREADABLE') throw error;
        unreadable.push({ name: example.name, reason: error.message });
        return undefined;
      }
    }),
  );
  const read = inputs.filter((input) => input !== undefined);
  if (read.length === 0) return [];
  if (trunk === undefined) return read.map(({ example, input }) => [example.hash, input] as const);
  const names = { input: trunk.inputs[0]?.name ?? '', output: trunk.outputs[0]?.name ?? '' };
  const computed: (readonly [string, Tensor<'float32'>])[] = [];
  const batch = { examples: read.map(({ input }) => input), batchSize: trunkBatch };
  let index = 0;
  for await (const features of computeFeatures(trunk.session, names, batch)) {
    const hash = read[index]?.example.hash ?? '';
    // A copy: the view would keep the whole batch alive.
    const own = { ...features, data: features.data.slice() };
    await store.write(hash, own);
    computed.push([hash, own]);
    index += 1;
  }
  return computed;
}
