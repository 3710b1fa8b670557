/** A model as a plain .onnx file with its weights as initializers. */
import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';

import type { Model, Node } from '../../graph/graph.js';
import { privateDomains } from '../../operators/lowering.js';
import { describe } from '../../operators/site.js';
import { encodeModelProto } from './onnx-schema.js';
import { writeTensor } from './tensor-proto.js';
import { writeGraph, writeModel } from './write-graph.js';

/**
 * Throws WEIGHTS_MALFORMED where a tensor that the graph declares is missing, MODEL_TOO_LARGE past protobuf's 2 GiB,
 * MODEL_UNSUPPORTED for an operator that is one runtime's own, which no other reader of the file would know.
 */
export function exportOnnx(model: Model): Uint8Array {
  const own = privateIn(model.graph.nodes);
  if (own !== undefined) {
    throw new GraftError(
      'MODEL_UNSUPPORTED',
      `${describe(own)} is of domain ${own.domain}, which is never written to files`,
      { details: { node: own.name, op: own.op } },
    );
  }
  return encodeOnnx(model);
}

function privateIn(nodes: readonly Node[]): Node | undefined {
  const bodies = (node: Node) =>
    Object.values(node.attributes).flatMap((each) => (each.kind === 'graph' ? each.value.nodes : []));
  return nodes.flatMap((node) => [node, ...bodies(node)]).find(({ domain }) => privateDomains.has(domain));
}

/** The bytes of a session's graph, which may hold operators of the runtime that loads it; throws as exportOnnx does otherwise. */
export function encodeOnnx({ graph, weights }: Model): Uint8Array {
  const initializer = graph.weights.map(({ name, dtype }) => {
    const value = weights.get(name);
    if (value === undefined) throw new GraftError('WEIGHTS_MALFORMED', `the weights have no tensor '${name}'`);
    if (value.dtype !== dtype) {
      throw new GraftError('WEIGHTS_MALFORMED', `tensor '${name}' is ${value.dtype}, the graph declares ${dtype}`);
    }
    return writeTensor(name, value);
  });
  const sizeBytes = initializer.reduce((sum, { rawData }) => sum + (rawData?.length ?? 0), 0);
  if (sizeBytes > limits.onnxBytes) {
    throw new GraftError('MODEL_TOO_LARGE', `weights of ${sizeBytes} bytes, an ONNX file holds ${limits.onnxBytes}`);
  }
  return encodeModelProto(writeModel(graph, { ...writeGraph(graph), initializer }));
}
