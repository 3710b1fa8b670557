/** One round at this site: features, training, ranges, and a delta that leaves this process sealed or not at all. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';

import { GraftError } from '@graft/core/error';
import { flatten, layoutOf } from '@graft/core/layout';
import { seedFrom } from '@graft/core/random';
import { bytesOf, tensor, type Tensor } from '@graft/core/tensor';
import { sha256 } from '@graft/models/formats/sha256.adapter';
import { decodeSafetensors } from '@graft/models/formats/safetensors';
import { emptyClasses } from '@graft/models/pipeline/batches/class-weights';
import type { ExampleTensors } from '@graft/models/pipeline/batches/example-tensors';
import type { Part, Pipeline } from '@graft/models/pipeline/pipeline';
import { trainingSchema, type TrainingSpec } from '@graft/models/pipeline/training-spec';
import { widen } from '@graft/models/quantize/downlink';
import type { Runtime } from '@graft/models/runtime/runtime';
import type { TensorRange } from '@graft/protos/messages';

import type { Example } from '../data/dataset.js';
import { classNumbers } from '../data/labels.js';
import { checkLayout } from './base-header.adapter.js';
import { calibrate, calibrationExamples } from './calibrate.adapter.js';
import { siteBatches } from './examples/batches.adapter.js';
import { openPreprocess } from './examples/preprocess.adapter.js';
import type { FeatureReader } from './examples/site-features.adapter.js';
import { forSite } from './examples/site-statistics.adapter.js';
import { isKept, type Varying } from './examples/variations.js';
import { partKey, readPart } from './resident-sessions.adapter.js';
import { sealToFile } from './seal-to-file.adapter.js';
import type { JobControl } from './serve.driver.js';
import { readSite } from './site-examples.adapter.js';
import type { TrunkChoice } from './training/estimate.js';
import { referencesOf, weighted } from './training/round-feeds.js';
import type { TrainingSteps } from './training/train-tail.adapter.js';
import type { FitInput, TrainerCalls } from './trainer-calls.js';

export interface Fitting extends JobControl {
  readonly runtime: Runtime;
  readonly steps: TrainingSteps;
  readonly features: FeatureReader;
}

/**
 * The plan's base is what training starts from: its tensors are the trainable ones.
 * @throws PLAN_REFUSED for another layout or options that are not valid; LABEL_UNKNOWN, DATA_EMPTY, DATA_UNSUITABLE
 */
export async function fit(input: FitInput, context: Fitting): Promise<TrainerCalls['fit']['output']> {
  const { places, base } = input;
  const baseWeights = await readBase(join(places.blobs, base.blob.hash));
  const layout = layoutOf([...baseWeights].map(([name, { shape }]) => [name, shape] as const));
  checkLayout(layout, base.layoutHash);
  const startedAtMs = performance.now();
  const { training } = await readSite(places);
  const preprocessing = await forSite(input.pipeline.preprocessing, training, places.splitFile);
  const pipeline = { ...input.pipeline, preprocessing };
  const spec = readSpec(input.training);
  const varying = varyingOf(spec, input.seed);
  const features = await context.features.of(training, pipeline, { places, ...context, ...varying });
  const { examples } = features;
  const labels = classNumbers(examples, pipeline.labels);
  warnOfEmptyClasses(emptyClasses(labels, pipeline.labels, spec.emptyClasses ?? 'warn'), pipeline, context);
  const featureMs = Math.round(performance.now() - startedAtMs);
  const tail = await readPart(pipeline.tail, places.blobs);
  const model = { ...tail, weights: new Map<string, Tensor>([...tail.weights, ...baseWeights]) };
  const trained = await context.steps.train(
    {
      graphKey: partKey(withoutBase(input)),
      valuesKey: JSON.stringify([base.blob.hash, examplesKey(examples), examplesMadeBy(pipeline)]),
      model,
      trainable: layout.entries.map(({ name }) => name),
      spec,
      seed: input.seed,
      trunk: trunkChoice(pipeline, varying.varying),
      places,
      count: examples.length,
      batches: (step) => weighted(siteBatches(step, { features, labels, ...varying }), { step, spec, labels }),
      references: (step) => referencesOf(step, baseWeights),
    },
    context,
  );
  context.onProgress({ activity: 'calibrating', progress: 0, loss: trained.loss });
  const tailRanges = await calibrate(
    { ...model, weights: new Map<string, Tensor>([...model.weights, ...trained.weights]) },
    await features.read([...examples.keys()].slice(0, calibrationExamples)),
    context,
  );
  const trunkRanges = input.calibrateTrunk ? await calibrateTrunk({ ...input, pipeline }, examples, context) : [];
  const delta = flatten(layout, trained.weights);
  subtract(delta, flatten(layout, baseWeights));
  const bytes = bytesOf(tensor('float32', [delta.length], delta));
  const sealingSinceMs = performance.now();
  const fields = await sealToFile(
    input.seal,
    { plaintextBytes: bytes.length, chunkAt: (start, length) => bytes.subarray(start, start + length) },
    context,
  );
  const sealMs = Math.round(performance.now() - sealingSinceMs);
  const { loss, initialLoss, steps, trainMs } = trained;
  return {
    update: { ...fields, parameterCount: layout.length },
    exampleCount: examples.length,
    report: { loss, initialLoss, steps, epochs: spec.epochs, trainMs, featureMs, sealMs, trunkRanges, tailRanges },
  };
}

/** Ranges of the trunk's activations, on examples as the trunk sees them. */
async function calibrateTrunk(
  { pipeline, places }: FitInput,
  examples: readonly Example[],
  context: Fitting,
): Promise<TensorRange[]> {
  if (pipeline.trunk === undefined) return [];
  const preprocess = await openPreprocess(pipeline.preprocessing, places.blobs);
  const inputs: ExampleTensors[] = [];
  for (const { source, name } of examples.slice(0, calibrationExamples)) {
    context.signal.throwIfAborted();
    inputs.push(await preprocess(source, name));
  }
  return calibrate(await readPart(pipeline.trunk, places.blobs), inputs, context);
}

function warnOfEmptyClasses(empty: readonly string[], { labels }: Pipeline, { onProgress }: JobControl): void {
  if (empty.length === 0) return;
  const names = empty.slice(0, 8).join(', ') + (empty.length > 8 ? ', …' : '');
  const warning = `${empty.length} of ${labels.length} classes have no example to train on: ${names}`;
  onProgress({ activity: 'features', progress: 1, warnings: [warning] });
}

/** Variants that are kept are the same in every round; others are new ones. */
function varyingOf({ augmentation }: TrainingSpec, seed: number): { readonly varying?: Varying } {
  if (augmentation === undefined) return {};
  const isKeptAlways = augmentation.place === 'before-trunk' && augmentation.variants !== undefined;
  return { varying: { augmentation, seed: isKeptAlways ? seedFrom('variants') : seed } };
}

function trunkChoice({ trunk }: Pipeline, varying: Varying | undefined): TrunkChoice {
  if (trunk === undefined) return 'none';
  return isKept(varying) ? 'cached' : 'each-epoch';
}

/** What makes features and class numbers of the examples. */
function examplesMadeBy({ preprocessing, trunk, labels }: Pipeline): unknown {
  return [preprocessing, trunk === undefined ? null : partKey(trunk), labels];
}

/** The examples with their labels, in their order. */
function examplesKey(examples: readonly Example[]): string {
  return sha256(new TextEncoder().encode(examples.map(({ hash, label }) => `${hash} ${label}`).join('\n')));
}

/** The tail's files but the base, which changes every round and is fed to the training graph. */
function withoutBase({ pipeline, base }: FitInput): Part {
  const { graph, weights } = pipeline.tail;
  return { graph, weights: weights.filter(({ hash }) => hash !== base.blob.hash) };
}

async function readBase(file: string): Promise<Map<string, Tensor<'float32'>>> {
  const { weights } = decodeSafetensors(await readFile(file));
  return new Map([...weights].map(([name, value]) => [name, float32(name, widen(value))]));
}

function float32(name: string, value: Tensor): Tensor<'float32'> {
  if (value.dtype === 'float32') return value;
  throw new GraftError('PLAN_REFUSED', `the base's tensor '${name}' is ${value.dtype}; only float tensors are trained`);
}

function readSpec(text: string): TrainingSpec {
  try {
    return trainingSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new GraftError('PLAN_REFUSED', 'the plan has no valid training options', { cause });
  }
}

/** In place: trained - base. */
function subtract(trained: Float32Array, base: Float32Array): void {
  for (let index = 0; index < trained.length; index++) trained[index] = (trained[index] ?? 0) - (base[index] ?? 0);
}
