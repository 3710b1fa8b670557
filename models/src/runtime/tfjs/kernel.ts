/** What a kernel is: an ONNX operator written in operations of tfjs. A kernel is pure: tfjs is an argument. */
import type { DType } from '@graft/core/tensor';

import type { Graph, Node } from '../../graph/graph.js';
import { malformed, unsupported } from '../../operators/site.js';
import { Value, type DeviceArray, type TensorFlow } from './value.js';

/** One node about to run. */
export interface Call {
  readonly tf: TensorFlow;
  readonly node: Node;
  /** Undefined for an optional input that is left out. */
  readonly inputs: readonly (Value | undefined)[];
  /** Runs a graph of an attribute, which sees the values around it; for If, Loop and Scan. */
  readonly runGraph: (graph: Graph, inputs: readonly Value[]) => Value[];
}

/** The outputs in order. Tensors made on the way are tidied by the caller. */
export type Kernel = (call: Call) => readonly Value[];

export type Kernels = Readonly<Record<string, Kernel>>;

/** The i-th input. Throws MODEL_MALFORMED where it is left out. */
export function valueAt({ node, inputs }: Call, index: number): Value {
  const value = inputs[index];
  if (value === undefined) throw malformed(node, `has no input ${index}`);
  return value;
}

export const tensorAt = (call: Call, index: number): DeviceArray => valueAt(call, index).tensor(call.tf);

/** The i-th input, or undefined where it is left out. */
export const optionalAt = (call: Call, index: number): DeviceArray | undefined => call.inputs[index]?.tensor(call.tf);

/** The numbers of the i-th input, or undefined where it is left out. */
export const numbersAt = ({ inputs }: Call, index: number): readonly number[] | undefined => inputs[index]?.numbers();

/** One output of a given element type. */
export const result = (dtype: DType, tensor: DeviceArray): readonly Value[] => [Value.onDevice(dtype, tensor)];

/** A kernel of one output of the type of its first input. */
export const ofFirst =
  (compute: (call: Call, x: DeviceArray) => DeviceArray): Kernel =>
  (call) =>
    result(valueAt(call, 0).dtype, compute(call, tensorAt(call, 0)));

const computed: ReadonlySet<DType> = new Set<DType>(['float32', 'int32', 'int64', 'bool']);

/** Throws MODEL_UNSUPPORTED for integers that would have to wrap around at fewer than 32 bits. */
export function assertComputed(call: Call): void {
  for (const value of call.inputs) {
    if (value !== undefined && !computed.has(value.dtype))
      throw unsupported(call.node, `computes with ${value.dtype}, which the runtime tfjs only moves`);
  }
}
