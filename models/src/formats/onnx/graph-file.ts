/**
 * A graph without its weights, as a file with an address of its own: an ONNX model in which the weights are declared as
 * inputs, after the real ones. The metadata entry 'graft.weights' says how many of the inputs are weights.
 */
import { GraftError } from '@graft/core/error';

import { internalOpset, type Graph } from '../../graph/graph.js';
import { validateGraph } from '../../graph/validate.js';
import { decodeModelProto, encodeModelProto, integer } from './onnx-schema.js';
import { readGraph } from './read-graph.js';
import { versionsOf, writeGraph, writeModel, writeValue } from './write-graph.js';

const weightsKey = 'graft.weights';

/** Equal graphs give equal bytes. */
export function encodeGraph(graph: Graph): Uint8Array {
  const proto = writeGraph(graph);
  return encodeModelProto({
    ...writeModel(graph, { ...proto, input: [...(proto.input ?? []), ...graph.weights.map(writeValue)] }),
    metadataProps: [{ key: weightsKey, value: String(graph.weights.length) }],
  });
}

/** Throws MODEL_MALFORMED for a file that is not such a graph; the graph is checked like one that is imported. */
export function decodeGraph(bytes: Uint8Array): Graph {
  const proto = decodeModelProto(bytes);
  const opset = proto.opsetImport?.find(({ domain }) => (domain ?? '') === '')?.version;
  const count = Number(proto.metadataProps?.find(({ key }) => key === weightsKey)?.value ?? NaN);
  if (!Number.isSafeInteger(count) || proto.graph === undefined || proto.graph === null) {
    throw new GraftError('MODEL_MALFORMED', `the file is not a graph file: it has no entry '${weightsKey}'`);
  }
  const { graph, weights } = readGraph(proto.graph);
  const expected = versionsOf({ ...graph, weights: [] }).get('');
  if (integer(opset, 'the opset') !== expected) {
    throw new GraftError(
      'MODEL_MALFORMED',
      `a graph file of opset ${integer(opset, 'the opset')}, expected ${expected ?? internalOpset}`,
    );
  }
  const inputCount = graph.inputs.length - count;
  if (count < 0 || inputCount < 0 || weights.size > 0) {
    throw new GraftError(
      'MODEL_MALFORMED',
      `the graph file declares ${count} weights and ${graph.inputs.length} inputs, and stores ${weights.size} tensors`,
    );
  }
  const result = { ...graph, inputs: graph.inputs.slice(0, inputCount), weights: graph.inputs.slice(inputCount) };
  validateGraph(result);
  return result;
}
