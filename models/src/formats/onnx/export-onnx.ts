/** A model as a plain .onnx file with its weights as initializers. */
import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';

import type { Model } from '../../graph/graph.js';
import { encodeModelProto } from './onnx-schema.js';
import { writeTensor } from './tensor-proto.js';
import { writeGraph, writeModel } from './write-graph.js';

/** Throws WEIGHTS_MALFORMED where a tensor that the graph declares is missing, MODEL_TOO_LARGE past protobuf's 2 GiB. */
export function exportOnnx({ graph, weights }: Model): Uint8Array {
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
