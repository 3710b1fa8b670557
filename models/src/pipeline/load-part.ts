/** A part of a pipeline out of its files, as an agent has them on disk, and into files. */
import { GraftError } from '@graft/core/error';
import type { Tensor } from '@graft/core/tensor';

import { decodeGraph, encodeGraph } from '../formats/onnx/graph-file.js';
import { decodeSafetensors, encodeSafetensors } from '../formats/safetensors.js';
import type { Model, Value } from '../graph/graph.js';
import { widen } from '../quantize/downlink.js';

/**
 * The model of a graph file and its weights files. Later files override earlier names; float16 is widened where the graph
 * says float32; tensors that the graph does not name are ignored. Throws MODEL_MALFORMED or WEIGHTS_MALFORMED.
 */
export function loadPart(graphBytes: Uint8Array, weightFiles: readonly Uint8Array[]): Model {
  const graph = decodeGraph(graphBytes);
  const given = new Map<string, Tensor>();
  for (const file of weightFiles) {
    for (const [name, value] of decodeSafetensors(file).weights) given.set(name, value);
  }
  const weights = new Map(graph.weights.map((declared) => [declared.name, fitting(declared, given)]));
  return { graph, weights };
}

function fitting({ name, dtype, shape }: Value, given: ReadonlyMap<string, Tensor>): Tensor {
  const found = given.get(name);
  if (found === undefined) throw new GraftError('WEIGHTS_MALFORMED', `no weights file has the tensor '${name}'`);
  const value = dtype === 'float32' ? widen(found) : found;
  if (value.dtype !== dtype || (shape !== undefined && value.shape.join() !== shape.join())) {
    throw new GraftError(
      'WEIGHTS_MALFORMED',
      `tensor '${name}' is ${value.dtype} [${value.shape.join(', ')}], the graph declares ${dtype} [${shape?.join(', ') ?? '?'}]`,
    );
  }
  return value;
}

/** The files of a model, ready to be stored by hash; weights that are not trained apart from those that are. */
export interface PartFiles {
  readonly graph: Uint8Array;
  /** Absent where every weight is trained. */
  readonly frozen?: Uint8Array;
  /** Absent where none is. */
  readonly trainable?: Uint8Array;
}

/**
 * `loadPart(graph, [frozen, trainable])` is the model again, bit for bit.
 * Throws TENSOR_UNKNOWN for a trainable name that is no weight, WEIGHTS_MALFORMED for a weight that is missing.
 */
export function partsOf({ graph, weights }: Model, trainableNames: readonly string[]): PartFiles {
  const trainable = new Set(trainableNames);
  const frozenWeights = new Map<string, Tensor>();
  const trainableWeights = new Map<string, Tensor>();
  for (const { name } of graph.weights) {
    const value = weights.get(name);
    if (value === undefined) throw new GraftError('WEIGHTS_MALFORMED', `the model has no tensor '${name}'`);
    (trainable.delete(name) ? trainableWeights : frozenWeights).set(name, value);
  }
  const [unknown] = trainable;
  if (unknown !== undefined) throw new GraftError('TENSOR_UNKNOWN', `the model has no weight '${unknown}' to train`);
  return {
    graph: encodeGraph(graph),
    ...(frozenWeights.size > 0 && { frozen: encodeSafetensors(frozenWeights) }),
    ...(trainableWeights.size > 0 && { trainable: encodeSafetensors(trainableWeights) }),
  };
}
