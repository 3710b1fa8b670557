/** Makes what a run starts from: the base model cut at its features, with a new head, as files that agents can fetch. */
import { readFile } from 'node:fs/promises';

import { GraftError } from '@graft/core/error';
import { canonicalLayout, layoutOf } from '@graft/core/layout';
import { zeros, type Tensor } from '@graft/core/tensor';
import { encodeSafetensors } from '@graft/models/formats/safetensors';
import { sha256 } from '@graft/models/formats/sha256.adapter';
import { cutAt } from '@graft/models/graph/cut';
import { withExampleInputs } from '@graft/models/graph/example-shape';
import type { Model } from '@graft/models/graph/graph';
import { withHead } from '@graft/models/graph/head';
import { loadPart, partsOf } from '@graft/models/pipeline/load-part';
import type { ModelCard } from '@graft/models/pipeline/model-card';
import type { BlobRef, Part, Pipeline } from '@graft/models/pipeline/pipeline';
import { textEncoder } from '@graft/models/pipeline/kinds/text-example';
import { exampleInputs, type TextPreprocessing } from '@graft/models/pipeline/preprocessing';
import type { FitTask, ProbeTask } from '@graft/models/pipeline/task-spec';
import { encodeDownlink } from '@graft/models/quantize/downlink';
import { foldConstants } from '@graft/models/quantize/fold';

import type { Blobs } from './aggregate.adapter.js';
import type { Prepared, PrepareInput } from './model-work.js';
import { trainableNames } from './trainable.js';

export async function prepareRun(input: PrepareInput, blobs: Blobs): Promise<Prepared> {
  const { task, taskId, seed } = input;
  return task.kind === 'probe'
    ? prepareProbe(taskId, task, blobs)
    : prepareFit(task, { taskId, seed, card: input.model?.card, model: await baseModel(input, blobs) }, blobs);
}

/** The tensor that a probe passes around. */
const probeTensor = 'probe';

type ProbeBase = ReturnType<typeof layoutHashOf> & Awaited<ReturnType<typeof putCheckpoint>>;

/** Zeros are the same blobs for every run: made once a process and size, the sizes made last are kept. */
const probeBases = new Map<number, ProbeBase>();
const keptProbeBases = 16;

async function prepareProbe(taskId: string, { parameters, add }: ProbeTask, blobs: Blobs): Promise<Prepared> {
  const known = probeBases.get(parameters);
  const { layoutHash, parameterCount, weights, fp16 } = known ?? (await makeProbeBase(parameters, blobs));
  return { material: { kind: 'probe', taskId, layoutHash, parameterCount, add }, base: { round: 0, weights, fp16 } };
}

async function makeProbeBase(parameters: number, blobs: Blobs): Promise<ProbeBase> {
  const weights = new Map<string, Tensor>([[probeTensor, zeros('float32', [parameters])]]);
  const base = { ...layoutHashOf(weights), ...(await putCheckpoint(weights, blobs)) };
  const [oldest] = probeBases.keys();
  if (probeBases.size >= keptProbeBases && oldest !== undefined) probeBases.delete(oldest);
  probeBases.set(parameters, base);
  return base;
}

async function baseModel({ task, model }: PrepareInput, blobs: Blobs): Promise<Model> {
  if (model === undefined) throw new GraftError('NOT_FOUND', `task '${task.name}' has no base model`);
  const [graph, weights] = await Promise.all(
    [model.graph, model.weights].map(({ hash }) => readFile(blobs.path(hash))),
  );
  if (graph === undefined || weights === undefined) throw new GraftError('NOT_FOUND', 'the base model has no files');
  return loadPart(graph, [weights]);
}

interface FitSource {
  readonly taskId: string;
  readonly seed: number;
  readonly card: ModelCard | undefined;
  readonly model: Model;
}

async function prepareFit(task: FitTask, { taskId, seed, card, model }: FitSource, blobs: Blobs): Promise<Prepared> {
  const { features, labels, preprocessing } = task;
  if (preprocessing.kind === 'text') await checkTokenizer(preprocessing, blobs);
  const sized = withExampleInputs(model, exampleInputs(preprocessing));
  const length = card?.features.find(({ tensor: name }) => name === features)?.length;
  const headed = withHead(sized, { features, classes: labels.length, seed, ...(length !== undefined && { length }) });
  const joint = task.scope === 'head' ? features : inputOfNode(headed, task.scope.slice('from:'.length));
  const isWhole = headed.graph.inputs.some(({ name }) => name === joint);
  const { trunk, tail } = isWhole ? { trunk: undefined, tail: headed } : cutAt(headed, joint);
  const names = trainableNames(tail);
  const weights = new Map(
    names.flatMap((name): [string, Tensor][] => {
      const value = tail.weights.get(name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
  const pipeline: Pipeline = {
    preprocessing,
    // The trunk stays as it is: constants behind its convolutions are folded into them, which saves a quarter of its time.
    ...(trunk && { trunk: await putPart(foldConstants(trunk), [], blobs) }),
    tail: await putPart(tail, names, blobs),
    labels,
  };
  const { holdOut } = task;
  return {
    material: {
      kind: 'fit',
      taskId,
      ...layoutHashOf(weights),
      pipeline,
      training: JSON.stringify(task.training),
      ...(holdOut !== undefined && { holdOut }),
    },
    base: { round: 0, ...(await putCheckpoint(weights, blobs)) },
  };
}

/** Every agent would fail on it: throws NOT_FOUND where it was not stored, TOKENIZER_INVALID where it is none. */
async function checkTokenizer(preprocessing: TextPreprocessing, blobs: Blobs): Promise<void> {
  const { hash, sizeBytes } = preprocessing.tokenizer;
  const file = await readFile(blobs.path(hash)).catch((cause: unknown) => {
    throw new GraftError('NOT_FOUND', `the tokenizer ${hash} is not among the blobs`, { cause });
  });
  if (file.length !== sizeBytes) {
    throw new GraftError('TOKENIZER_INVALID', `the tokenizer has ${file.length} bytes, the task says ${sizeBytes}`);
  }
  textEncoder(file, preprocessing);
}

/** The first computed input of a node: training starts with this node. */
function inputOfNode(model: Model, nodeName: string): string {
  const { graph } = model;
  const node = graph.nodes.find(({ name, outputs }) => name === nodeName || outputs.includes(nodeName));
  if (node === undefined) {
    throw new GraftError(
      'INVALID_REQUEST',
      `the task trains from node '${nodeName}', which the model does not have up to its features`,
    );
  }
  const computed = new Set([...graph.inputs.map(({ name }) => name), ...graph.nodes.flatMap(({ outputs }) => outputs)]);
  const input = node.inputs.find((name) => computed.has(name));
  if (input === undefined) throw new GraftError('INVALID_REQUEST', `node '${nodeName}' depends on no example`);
  return input;
}

/** The files of a model; those of `trained` weights are left out, a checkpoint brings them. */
export async function putPart(model: Model, trained: readonly string[], blobs: Blobs): Promise<Part> {
  const { graph, frozen } = partsOf(model, trained);
  return {
    graph: await blobs.put(graph),
    weights: frozen === undefined ? [] : [await blobs.put(frozen)],
  };
}

async function putCheckpoint(
  weights: ReadonlyMap<string, Tensor>,
  blobs: Blobs,
): Promise<{ readonly weights: BlobRef; readonly fp16: BlobRef }> {
  const master = await blobs.put(encodeSafetensors(weights));
  return { weights: master, fp16: await blobs.put(encodeDownlink(weights).bytes) };
}

function layoutHashOf(weights: ReadonlyMap<string, Tensor>): { layoutHash: string; parameterCount: number } {
  const layout = layoutOf([...weights].map(([name, { shape }]) => [name, shape]));
  if (layout.length === 0) throw new GraftError('INVALID_REQUEST', 'the task trains no parameter');
  const text = new TextEncoder().encode(canonicalLayout(layout));
  return { layoutHash: sha256(text), parameterCount: layout.length };
}
