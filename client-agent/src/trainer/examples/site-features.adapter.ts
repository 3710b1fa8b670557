/**
 * What a pipeline's tail takes of a site's examples: from the cache on the disk, else by the trunk. With a cache the trunk sees each
 * example once and memory holds one batch, however many examples there are.
 */
import { GraftError } from '@graft/core/error';
import { tensor, type Tensor } from '@graft/core/tensor';
import { sha256 } from '@graft/models/formats/sha256.adapter';
import { bindInputs, stackExamples, type ExampleTensors } from '@graft/models/pipeline/batches/example-tensors';
import { FeatureCache } from '@graft/models/pipeline/feature-cache.adapter';
import type { Pipeline } from '@graft/models/pipeline/pipeline';
import { exampleInputs } from '@graft/models/pipeline/preprocessing';

import type { Example } from '../../data/dataset.js';
import { partKey, type ResidentSession, type ResidentSessions } from '../resident-sessions.adapter.js';
import type { JobControl } from '../serve.driver.js';
import type { TrainerPlaces } from '../trainer-calls.js';
import { createDecodePool, type DecodePool } from './decode-pool.driver.js';
import { layoutOfExample, pack, packedLength, unpack, type PackedLayout } from './packed-tensors.js';
import { isRecordError, openPreprocess, type Preprocess } from './preprocess.adapter.js';
import { afterTrunk, beforeTrunk, isKept, keyOfVariant, varied, type Variation, type Varying } from './variations.js';

/** Examples a run of the trunk: large enough for its kernels, small enough for the memory of a small site. */
const trunkBatch = 16;

/** Features of all trunks together, on the disk. */
const cacheBytes = 4e9;

/** Caches that stay open: of the trunk in use, its int8 form, and those of the task before. */
const keptCaches = 4;

/** Examples known to be readable whose features are not kept. */
const keptNames = 1_000_000;

export interface SiteFeatures {
  /** The examples that could be read, in their order. */
  readonly examples: readonly Example[];
  readonly unreadable: readonly SkippedExample[];
  /**
   * Inputs of the tail, without a batch dimension, of these examples by their number: varied as the task says for an epoch,
   * as they are without one.
   * Throws what reading an example throws, where one has changed since.
   */
  read(rows: readonly number[], epoch?: number): Promise<readonly ExampleTensors[]>;
}

interface SkippedExample {
  readonly name: string;
  readonly reason: string;
}

type Parts = Pick<Pipeline, 'preprocessing' | 'trunk'>;

export interface FeatureRequest extends JobControl {
  readonly places: Pick<TrainerPlaces, 'blobs' | 'features'>;
  /** Of training; measuring takes the examples as they are. */
  readonly varying?: Varying;
}

interface OpenCache {
  readonly cache: FeatureCache;
  readonly layout: PackedLayout;
}

/** One pipeline on one site. */
interface Source {
  readonly parts: Parts;
  readonly places: FeatureRequest['places'];
  readonly varying: Varying | undefined;
  readonly trunk: ResidentSession | undefined;
  readonly preprocess: Preprocess;
}

/** An example in the form that an epoch sees. */
interface Wanted {
  readonly example: Example;
  readonly variation: Variation | undefined;
  /** What it is cached under. */
  readonly key: string;
}

export class FeatureReader {
  private readonly open = new Map<string, OpenCache>();
  private readonly readable = new Set<string>();

  constructor(
    private readonly sessions: ResidentSessions,
    private readonly pool: DecodePool = createDecodePool(),
  ) {}

  /**
   * Reads every example once, which fills the cache.
   * Throws DATA_UNSUITABLE where an example is of another kind than the model takes, DATA_EMPTY where none can be read.
   */
  async of(examples: readonly Example[], parts: Parts, request: FeatureRequest): Promise<SiteFeatures> {
    const { varying, signal, onProgress } = request;
    const source = await this.sourceOf(parts, request);
    const unreadable: SkippedExample[] = [];
    const bad = new Set<string>();
    const skip = ({ hash, name }: Example, reason: string): void => {
      bad.add(hash);
      unreadable.push({ name, reason });
    };
    for (let begin = 0; begin < examples.length; begin += trunkBatch) {
      signal.throwIfAborted();
      const batch = examples.slice(begin, begin + trunkBatch);
      if (isKept(varying)) await this.load(source, wantedOf(batch, varying, 0), skip);
      else await this.check(source, batch, skip);
      onProgress({ activity: 'features', progress: (begin + batch.length) / examples.length });
    }
    if (unreadable.length > 0)
      onProgress({ activity: 'features', progress: 1, warnings: [warningOf(unreadable, examples.length)] });
    const usable = examples.filter(({ hash }) => !bad.has(hash));
    if (usable.length === 0) throw nothingReadable(examples.length, unreadable);
    return {
      examples: usable,
      unreadable,
      read: async (rows, epoch) => {
        const some = rows.map((row) => usable[row] ?? rowOutOf(row));
        const seen = epoch === undefined ? { ...source, varying: undefined } : source;
        const wanted = wantedOf(some, seen.varying, epoch ?? 0);
        const found = await this.load(seen, wanted, undefined);
        return wanted.map(({ example, key }) =>
          finished(found.get(key) ?? rowOutOf(-1), { example, source: seen, epoch: epoch ?? 0 }),
        );
      },
    };
  }

  /** Ends the decoding threads. */
  close(): Promise<void> {
    return this.pool.close();
  }

  private async sourceOf(parts: Parts, { places, varying }: FeatureRequest): Promise<Source> {
    const { trunk, preprocessing } = parts;
    const preprocess = await openPreprocess(preprocessing, places.blobs, async (path, image, name) => ({
      x: await this.pool.decode({ path, name, preprocessing: image }),
    }));
    const session = trunk === undefined ? undefined : await this.sessions.part(trunk, places.blobs);
    return { parts, places, varying, trunk: session, preprocess };
  }

  /** By key: from the cache, the others computed, and kept where that is worth it. */
  private async load(
    source: Source,
    wanted: readonly Wanted[],
    skip: ((example: Example, reason: string) => void) | undefined,
  ): Promise<Map<string, ExampleTensors>> {
    const found = new Map<string, ExampleTensors>();
    const missing = new Map<string, Wanted>();
    const kept = isKept(source.varying);
    const declared = declaredLayout(source);
    const known = kept
      ? declared === undefined
        ? this.open.get(keyOf(source))
        : this.cacheOf(source, declared)
      : undefined;
    for (const one of wanted) {
      if (found.has(one.key) || missing.has(one.key)) continue;
      const packed = known?.cache.get(cacheName(one));
      if (known !== undefined && packed !== undefined) found.set(one.key, unpack(known.layout, packed));
      else missing.set(one.key, one);
    }
    const pending = [...missing.values()];
    for (let begin = 0; begin < pending.length; begin += trunkBatch) {
      for (const [one, features] of await this.compute(source, pending.slice(begin, begin + trunkBatch), skip)) {
        found.set(one.key, features);
        if (!kept) continue;
        const { cache, layout } = this.cacheOf(source, layoutOfExample(features));
        cache.put(cacheName(one), pack(layout, features));
      }
    }
    return found;
  }

  /** Examples are decoded side by side; the trunk runs on this thread. */
  private async compute(
    source: Source,
    wanted: readonly Wanted[],
    skip: ((example: Example, reason: string) => void) | undefined,
  ): Promise<(readonly [Wanted, ExampleTensors])[]> {
    const inputs = await Promise.all(
      wanted.map(async (one) => {
        try {
          return [one, await this.input(source, one)] as const;
        } catch (error) {
          if (skip === undefined || !isRecordError(error)) throw error;
          skip(one.example, error.message);
          return undefined;
        }
      }),
    );
    const read = inputs.filter((input) => input !== undefined);
    if (source.trunk === undefined || read.length === 0) return read;
    const { session, inputs: taken, outputs } = source.trunk;
    const fetches = await session.run(bindInputs(taken, stackExamples(read.map(([, input]) => input))));
    const name = outputs[0]?.name ?? '';
    const rows = rowsOf(fetches[name], read.length);
    return read.map(([one], index) => [one, { [name]: rows[index] ?? rowOutOf(index) }] as const);
  }

  private async input({ parts: { preprocessing }, preprocess }: Source, wanted: Wanted): Promise<ExampleTensors> {
    const { example, variation } = wanted;
    const { source, name } = example;
    if (variation === undefined) return preprocess(source, name);
    if (source.kind === 'image' && preprocessing.kind === 'image') {
      return { x: await this.pool.decode({ path: source.path, name, preprocessing, variation }) };
    }
    return varied(await preprocess(source, name), variation);
  }

  /** Reads examples without keeping them, once in this process. */
  private async check(
    source: Source,
    batch: readonly Example[],
    skip: (example: Example, reason: string) => void,
  ): Promise<void> {
    const name = ({ hash }: Example): string => `${hash} ${keyOf(source)}`;
    await Promise.all(
      batch.map(async (example) => {
        if (this.readable.has(name(example))) return;
        try {
          await source.preprocess(example.source, example.name);
          if (this.readable.size < keptNames) this.readable.add(name(example));
        } catch (error) {
          if (!isRecordError(error)) throw error;
          skip(example, error.message);
        }
      }),
    );
  }

  private cacheOf(source: Source, layout: PackedLayout): OpenCache {
    const key = keyOf(source);
    const known = this.open.get(key);
    if (known !== undefined) return known;
    const { parts, places } = source;
    const cache = new FeatureCache({
      directory: places.features,
      trunkHash: sha256(encode(parts.trunk === undefined ? 'no trunk' : partKey(parts.trunk))),
      preprocessingHash: sha256(encode(JSON.stringify(parts.preprocessing))),
      length: packedLength(layout),
      maxBytes: cacheBytes,
      nowMs: () => Date.now(),
    });
    const opened = { cache, layout };
    this.open.set(key, opened);
    for (const [other, { cache: unused }] of this.open) {
      if (this.open.size <= keptCaches) break;
      this.open.delete(other);
      unused.close();
    }
    return opened;
  }
}

function wantedOf(examples: readonly Example[], varying: Varying | undefined, epoch: number): Wanted[] {
  return examples.map((example) => {
    const variation = beforeTrunk(varying, example.hash, epoch);
    return { example, variation, key: variation === undefined ? example.hash : keyOfVariant(example.hash, variation) };
  });
}

/** Variants have names of their own in the cache. */
function cacheName({ example, variation, key }: Wanted): string {
  return variation === undefined ? example.hash : sha256(encode(key));
}

interface Finishing {
  readonly example: Example;
  readonly source: Source;
  readonly epoch: number;
}

/** What is varied behind the trunk; where there is none, that is the decoded example and colours can be varied too. */
function finished(features: ExampleTensors, { example, source, epoch }: Finishing): ExampleTensors {
  const variation = afterTrunk(source.varying, example.hash, epoch);
  if (variation === undefined) return features;
  const { trunk, preprocessing } = source.parts;
  return varied(features, variation, trunk === undefined && preprocessing.kind === 'image' ? preprocessing : undefined);
}

/** Known before the first example where the preprocessing or the graph says it. */
function declaredLayout({ parts, trunk }: Source): PackedLayout | undefined {
  if (trunk === undefined) return exampleInputs(parts.preprocessing);
  const [output] = trunk.outputs;
  const shape = output?.shape?.slice(1);
  const sizes = shape?.filter((size) => typeof size === 'number');
  if (output === undefined || sizes === undefined || sizes.length !== shape?.length) return undefined;
  return [{ name: output.name, dtype: 'float32', shape: sizes }];
}

/** Copies of the rows of a batch. Throws MODEL_MALFORMED where there is not one an example. */
function rowsOf(value: Tensor | undefined, count: number): Tensor<'float32'>[] {
  const [rows, ...shape] = value?.shape ?? [];
  if (value?.dtype !== 'float32' || rows !== count) {
    const got = value === undefined ? 'nothing' : `${value.dtype} [${value.shape.join(', ')}]`;
    throw new GraftError('MODEL_MALFORMED', `the trunk gives ${got} for ${count} examples`);
  }
  const length = value.data.length / count;
  return Array.from({ length: count }, (_, row) =>
    tensor('float32', shape, value.data.slice(row * length, (row + 1) * length)),
  );
}

function warningOf(unreadable: readonly SkippedExample[], count: number): string {
  const first = unreadable.slice(0, 3).map(({ name, reason }) => `${name}: ${reason}`);
  return `${unreadable.length} of ${count} examples cannot be used, ${first.join('; ')}`;
}

function nothingReadable(count: number, unreadable: readonly SkippedExample[]): GraftError {
  const reasons = unreadable.slice(0, 3).map(({ reason }) => reason);
  return new GraftError(
    'DATA_EMPTY',
    `none of ${count} examples can be read: ${reasons.join('; ') || 'there is none'}`,
  );
}

function rowOutOf(row: number): never {
  throw new RangeError(`there is no example ${row}`);
}

function keyOf({ parts: { trunk, preprocessing }, places }: Pick<Source, 'parts' | 'places'>): string {
  return JSON.stringify([places.features, places.blobs, trunk === undefined ? null : partKey(trunk), preprocessing]);
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
