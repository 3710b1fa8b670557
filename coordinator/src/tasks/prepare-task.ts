/**
 * From a model of the library and a task to what rounds work on: the frozen trunk, the tail that is trained, and checkpoint 0.
 * Arithmetic over whole models: run it in a worker.
 */
import { GraftError } from '@graft/core/error';
import { canonicalLayout, layoutOf } from '@graft/core/layout';
import { seedFrom } from '@graft/core/random';
import { zeros, type Weights } from '@graft/core/tensor';
import { encodeSafetensors } from '@graft/models/formats/safetensors';
import { cutAt } from '@graft/models/graph/cut';
import { withExampleShape } from '@graft/models/graph/example-shape';
import type { Model, Node } from '@graft/models/graph/graph';
import { withHead } from '@graft/models/graph/head';
import { partsOf, type PartFiles } from '@graft/models/pipeline/load-part';
import type { ModelCard } from '@graft/models/pipeline/model-card';
import { exampleShape } from '@graft/models/pipeline/preprocessing';
import type { FitTask, ProbeTask } from '@graft/models/pipeline/task-spec';
import { encodeDownlink } from '@graft/models/quantize/downlink';

import { trainableWeights } from './trainable-weights.js';

/** The files of a task, to be stored as blobs. */
export interface TaskFiles {
  readonly trunk?: Omit<PartFiles, 'trainable'>;
  /** Absent for a probe. */
  readonly tail?: Omit<PartFiles, 'trainable'>;
  /** Checkpoint 0 in float32, and rounded to float16 for the way down. */
  readonly weights: Uint8Array;
  readonly fp16: Uint8Array;
  /** The text whose sha256 is the hash of the layout. */
  readonly layout: string;
  readonly parameterCount: number;
}

/** Throws what cutting throws: TENSOR_UNKNOWN, MODEL_UNSUPPORTED; and INVALID_REQUEST for a scope that names no node. */
export function fitTaskFiles(spec: FitTask, card: ModelCard, model: Model): TaskFiles {
  const sized = withExampleShape(model, exampleShape(spec.preprocessing));
  const listed = card.features.find(({ tensor }) => tensor === spec.features);
  const headed = withHead(sized, {
    features: spec.features,
    classes: spec.labels.length,
    seed: seedFrom('head', spec.name),
    ...(listed && { length: listed.length }),
  });
  const { trunk, tail } = cutForScope(headed, spec);
  const trainable = trainableWeights(tail.graph);
  const { trainable: weights, ...tailFiles } = partsOf(tail, trainable);
  if (weights === undefined) throw new GraftError('INVALID_REQUEST', `scope '${spec.scope}' leaves no weight to train`);
  return {
    ...(trunk && { trunk: partsOf(trunk, []) }),
    tail: tailFiles,
    ...checkpoint(new Map(trainable.flatMap((name) => entry(tail.weights, name)))),
  };
}

/** A probe trains nothing: its weights are zeros of the size that is asked for. */
export function probeTaskFiles(spec: ProbeTask): TaskFiles {
  return checkpoint(new Map([['probe', zeros('float32', [spec.parameters])]]));
}

/** Trunk and tail for what is to be trained: at the features, or at what flows into a node. */
function cutForScope(model: Model, { scope, features }: FitTask): { trunk?: Model; tail: Model } {
  if (scope === 'head') return cutAt(model, features);
  const name = scope.slice('from:'.length);
  const node = model.graph.nodes.find((candidate) => candidate.name === name);
  if (node === undefined)
    throw new GraftError('INVALID_REQUEST', `scope '${scope}': there is no node '${name}' up to '${features}'`);
  const joint = activationInto(model, node);
  if (model.graph.inputs.some((input) => input.name === joint)) return { tail: model };
  return cutAt(model, joint);
}

function activationInto(model: Model, node: Node): string {
  const weights = new Set(model.graph.weights.map(({ name }) => name));
  const input = node.inputs.find((name) => name !== '' && !weights.has(name));
  if (input === undefined)
    throw new GraftError('INVALID_REQUEST', `node '${node.name}' takes no activation, so nothing can be cut there`);
  return input;
}

function checkpoint(weights: Weights): Pick<TaskFiles, 'weights' | 'fp16' | 'layout' | 'parameterCount'> {
  const layout = layoutOf([...weights].map(([name, { shape }]) => [name, shape] as const));
  return {
    weights: encodeSafetensors(weights),
    fp16: encodeDownlink(weights).bytes,
    layout: canonicalLayout(layout),
    parameterCount: layout.length,
  };
}

function entry<Key, Value>(map: ReadonlyMap<Key, Value>, key: Key): [Key, Value][] {
  const value = map.get(key);
  return value === undefined ? [] : [[key, value]];
}
