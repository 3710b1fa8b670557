/** ONNX Runtime from Node, as the cases need it: feeds out of .pb files, outputs by name. */
import { readFileSync } from 'node:fs';

import * as ort from 'onnxruntime-node';

import { decodeTensorProto } from '@graft/models/formats/onnx/onnx-schema';
import { readTensor } from '@graft/models/formats/onnx/tensor-proto';

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
    return [[declared.name, toOrt(readTensor(decodeTensorProto(new Uint8Array(readFileSync(file))), `input ${i}`))]];
  });
  return Object.fromEntries(feeds);
}

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

export const toOrt = ({ dtype, data, shape }) => new ort.Tensor(dtype, data, shape);
