/**
 * The arithmetic of simulated agents, in one process of the pool: the network and its training session are built once and
 * used for every agent. A probe trains nothing: its delta is the constant that the task names.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

import { canonicalLayout, flatten, layoutOf, type Layout } from '@graft/core/layout';
import { seedFrom } from '@graft/core/random';
import { tensor, zeros, type Tensor, type Weights } from '@graft/core/tensor';
import { multiLayerPerceptron } from '@graft/models/architectures/multi-layer-perceptron';
import { measureLogits, type Measures } from '@graft/models/evaluate/measures';
import { encodeGraph } from '@graft/models/formats/onnx/graph-file';
import { decodeSafetensors, encodeSafetensors } from '@graft/models/formats/safetensors';
import type { Model } from '@graft/models/graph/graph';
import type { BlobRef } from '@graft/models/pipeline/pipeline';
import { taskSpecSchema, type FitTask, type TaskSpec } from '@graft/models/pipeline/task-spec';
import { learningOf, stepOptionsOf } from '@graft/models/pipeline/training-spec';
import { encodeDownlink, widen } from '@graft/models/quantize/downlink';
import { onnxRuntime } from '@graft/models/runtime/onnxruntime.adapter';
import type { Session } from '@graft/models/runtime/runtime';
import { predictLogits } from '@graft/models/training/predict-logits';
import { StepSource } from '@graft/models/training/step-source';
import { batchesFor, trainWith, type TrainingResult } from '@graft/models/training/training-session';
import { encodeUpdateManifest } from '@graft/protos/message-codec.adapter';
import { createSealer, plaintextChunks } from '@graft/protos/sealed/seal.adapter';

import type { Blobs } from '../../compute/aggregate.adapter.js';
import { examplesOf } from '../population/dirichlet-split.js';
import { openDataSet, rowsOf, type DataSet, type Examples } from './data-set.adapter.js';
import type { Beginning, Laboratory, MeasureRequest, TrainAnswer, TrainRequest } from './simulated-work.js';

/** The part of an agent's examples that it measures on and does not train on, as a site's agent keeps it. */
const heldOutShare = 0.1;

/** Rows of one run when a checkpoint is measured. */
const measureRows = 256;

export interface Bench {
  begin(): Promise<Beginning>;
  train(request: TrainRequest): Promise<TrainAnswer>;
  measure(request: MeasureRequest): Promise<readonly Measures[]>;
}

export async function openLaboratory(laboratory: Laboratory, blobs: Blobs): Promise<Bench> {
  const task = taskSpecSchema.parse(laboratory.task);
  const data = laboratory.dataFile === undefined ? undefined : await openDataSet(laboratory.dataFile);
  const model = task.kind === 'fit' && data !== undefined ? networkOf(task, data, laboratory) : undefined;
  const initial: Weights = model?.weights ?? new Map([['probe', zeros('float32', [parametersOf(task)])]]);
  const layout = layoutOf([...initial].map(([name, { shape }]) => [name, shape]));
  const fit = model === undefined || task.kind !== 'fit' ? undefined : trainingOf(task, model);
  /** The checkpoint that is measured at every agent of a round. */
  let measured: { readonly hash: string; readonly session: Session } | undefined;

  const read = async ({ hash }: BlobRef): Promise<Map<string, Tensor>> => {
    const { weights } = decodeSafetensors(new Uint8Array(await readFile(blobs.path(hash))));
    return new Map([...weights].map(([name, value]) => [name, widen(value)]));
  };

  const indicesOf = (agent: number, exampleCount: number): { train: number[]; heldOut: number[] } => {
    const seed = seedFrom('examples', laboratory.seed, agent);
    const all = examplesOf(data?.byClass ?? [], { count: exampleCount, alpha: laboratory.alpha, seed });
    const heldOut = Math.max(1, Math.floor(all.length * heldOutShare));
    return { train: all.slice(heldOut), heldOut: all.slice(0, heldOut) };
  };

  return {
    begin: async () => {
      const weights = await blobs.put(encodeSafetensors(initial));
      return {
        checkpoint: { round: 0, weights, fp16: await blobs.put(encodeDownlink(initial).bytes) },
        layoutHash: createHash('sha256').update(canonicalLayout(layout)).digest('hex'),
        parameterCount: layout.length,
        graph: model === undefined ? weights : await blobs.put(encodeGraph(model.graph)),
        features: data?.train.features.shape[1] ?? 0,
      };
    },
    train: async (request) => {
      if (task.kind === 'probe') return seal(request, { delta: new Float32Array(layout.length).fill(task.add) }, blobs);
      if (fit === undefined || data === undefined) throw new TypeError('a fit task needs data');
      const base = await read(request.base);
      const { train } = indicesOf(request.agent, request.exampleCount);
      const result = await fit(base, rowsOf(data.train, train), request.seed);
      return seal(request, { delta: deltaOf(layout, base, result.weights), result, exampleCount: train.length }, blobs);
    },
    measure: async ({ checkpoint, agents }) => {
      if (model === undefined || data === undefined) return [];
      const parts =
        agents === undefined
          ? [data.holdOut]
          : agents.map(({ agent, exampleCount }) => rowsOf(data.train, indicesOf(agent, exampleCount).heldOut));
      if (measured?.hash !== checkpoint.hash) {
        await measured?.session.dispose();
        const loaded = { graph: model.graph, weights: await read(checkpoint) };
        const session = await onnxRuntime.load(loaded, { threads: 1, purpose: 'inference' });
        measured = { hash: checkpoint.hash, session };
      }
      return measureParts(measured.session, model.graph.inputs[0]?.name ?? '', parts);
    },
  };
}

function parametersOf(task: TaskSpec): number {
  if (task.kind === 'probe') return task.parameters;
  throw new TypeError('a fit task needs data');
}

function networkOf(task: FitTask, { train }: DataSet, { hidden, seed }: Laboratory): Model {
  const [, inputs = 1] = train.features.shape;
  return multiLayerPerceptron({ inputs, hidden, classes: task.labels.length }, seedFrom('network', seed));
}

/** Trains from any weights with the sessions of the first time. */
function trainingOf(
  task: FitTask,
  model: Model,
): (base: Weights, examples: Examples, seed: number) => Promise<TrainingResult> {
  const { training } = task;
  const steps = new StepSource(
    model,
    { ...stepOptionsOf(training), trainable: [...model.weights.keys()], rows: training.batchSize },
    onnxRuntime,
  );
  const [input] = model.graph.inputs;
  return async (initial, { features, labels }, seed) => {
    const targets = { labels: tensor('int32', [labels.length], labels) };
    const batches = batchesFor(steps.step, { inputs: { [input?.name ?? '']: features }, targets });
    return trainWith({ steps, initial }, { ...learningOf(training), batches, seed });
  };
}

function deltaOf(layout: Layout, base: Weights, trained: Weights): Float32Array {
  const [before, after] = [flatten(layout, base), flatten(layout, trained)];
  return after.map((value, index) => value - (before[index] ?? 0));
}

async function measureParts(session: Session, input: string, parts: readonly Examples[]): Promise<Measures[]> {
  const all: Measures[] = [];
  for (const { features, labels } of parts) {
    all.push(measureLogits(await predictLogits(session, { input }, { features, batchSize: measureRows }), labels));
  }
  return all;
}

/** Seals a delta to the round's key as an agent does; the ciphertext lies where uploads lie. */
async function seal(
  request: TrainRequest,
  trained: { readonly delta: Float32Array; readonly exampleCount?: number; readonly result?: TrainingResult },
  blobs: Blobs,
): Promise<TrainAnswer> {
  const { taskId, runId, round, agentId, layoutHash, roundKey, roundKeySignature, identityKey } = request;
  const { delta, result, exampleCount = request.exampleCount } = trained;
  const bytes = new Uint8Array(delta.buffer, delta.byteOffset, delta.byteLength);
  const context = { taskId, runId, round, agentId, baseHash: request.base.hash, layoutHash };
  const sealer = createSealer({ context, plaintextBytes: bytes.byteLength, roundKey, roundKeySignature, identityKey });
  const chunks = [...plaintextChunks(bytes)].map((chunk) => sealer.seal(chunk));
  const fields = sealer.finish();
  const file = blobs.path(fields.ciphertext.hash);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, Buffer.concat(chunks));
  const training = result && {
    loss: result.loss,
    initialLoss: result.initialLoss,
    steps: result.steps,
    epochs: 1,
    trainMs: 0,
    featureMs: 0,
    trunkRanges: [],
    tailRanges: [],
  };
  const manifest = encodeUpdateManifest({
    ...context,
    ...fields,
    exampleCount,
    parameterCount: delta.length,
    ...(training && { training }),
  });
  return { manifest, ciphertext: fields.ciphertext, exampleCount };
}
