/** ONNX Runtime from Node, as the cases need it: feeds out of .pb files, outputs by name. */
import { readFileSync } from 'node:fs';

import * as ort from 'onnxruntime-node';

import { elementTypeOf } from '@graft/models/formats/onnx/data-types';
import { decodeTensorProto } from '@graft/models/formats/onnx/onnx-schema';
import { readOpaque } from '@graft/models/formats/onnx/opaque-tensor';
import { readTensor } from '@graft/models/formats/onnx/tensor-proto';
import { isOpaque } from '@graft/models/graph/element-type';

/** One thread: the same bits at each run. Without rewriting, a file and its re-export run the kernels that they name. */
const options = {
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  graphOptimizationLevel: 'disabled',
  logSeverityLevel: 4,
  extra: { session: { intra_op: { allow_spinning: '0' } } },
};

export const open = (bytes) => ort.InferenceSession.create(bytes, options);

/** @param inputs files of the inputs in order, or 'ramp': i / n */
export function feedsOf(session, inputs) {
  if (inputs === 'ramp') return Object.fromEntries(session.inputMetadata.map(rampOf));
  const feeds = inputs.flatMap((file, i) => {
    const declared = session.inputMetadata[i];
    if (declared === undefined || !declared.isTensor) {
      throw new Error(`not runnable from Node: input ${i} is a sequence, a map or an optional value`);
    }
    const feed = readFeed(file);
    if (feed === undefined) throw new Error(`not runnable from Node: input ${i} has elements that it has no array for`);
    return [[declared.name, feed]];
  });
  return Object.fromEntries(feeds);
}

/** A tensor file as ONNX Runtime takes it; undefined for what Node cannot pass. */
export function readFeed(file) {
  const proto = decodeTensorProto(new Uint8Array(readFileSync(file)));
  const type = elementTypeOf(proto.dataType ?? 0);
  if (type === undefined) return undefined;
  const { data, shape } = isOpaque(type) ? readOpaque(proto, type, file) : readTensor(proto, file);
  if (!fromNode.has(type)) return undefined;
  return new ort.Tensor(type, type === 'string' ? [...data] : data, shape);
}

/** Element types of tensors that onnxruntime-node passes in both directions. */
const fromNode = new Set(
  'float32 float64 float16 int8 uint8 int16 uint16 int32 uint32 int64 uint64 bool string'.split(' '),
);

function rampOf({ name, shape }) {
  const sizes = shape.map((size) => (typeof size === 'number' ? size : 1));
  const count = sizes.reduce((product, size) => product * size, 1);
  return [
    name,
    new ort.Tensor(
      'float32',
      Float32Array.from({ length: count }, (_, i) => i / count),
      sizes,
    ),
  ];
}

export async function outputsOf(session, feeds) {
  const outputs = await session.run(feeds);
  const other = Object.entries(outputs).find(([, value]) => !(value instanceof ort.Tensor));
  if (other !== undefined) throw new Error(`not runnable from Node: output '${other[0]}' is no tensor`);
  return outputs;
}
