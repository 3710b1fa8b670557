/** Small ONNX files for specs, written message by message, so that they can also be wrong. */
import type { DType, Tensor } from '@graft/core/tensor';

import { dataTypeOf } from './data-types.js';
import {
  encodeModelProto,
  type AttributeProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type ValueInfoProto,
} from './onnx-schema.js';
import { writeTensor } from './tensor-proto.js';

export const file = (graph: GraphProto, opset = 21, rest: ModelProto = {}): Uint8Array =>
  encodeModelProto({
    irVersion: 8,
    opsetImport: [{ domain: '', version: opset }],
    graph: { name: 'g', ...graph },
    ...rest,
  });

export const value = (name: string, shape: readonly (number | string)[], dtype: DType = 'float32'): ValueInfoProto => ({
  name,
  type: {
    tensorType: {
      elemType: dataTypeOf[dtype],
      shape: { dim: shape.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size })) },
    },
  },
});

/** `op(inputs) -> outputs`, e.g. node('Clip', 'x', 'y', {max: {f: 6}}); names are separated by spaces, '-' is one left out. */
export const node = (
  opType: string,
  inputs: string,
  outputs: string,
  attributes: Readonly<Record<string, Omit<AttributeProto, 'name' | 'type'>>> = {},
): NodeProto => ({
  opType,
  input: names(inputs),
  output: names(outputs),
  name: `${opType}_${names(outputs)[0] ?? ''}`,
  attribute: Object.entries(attributes).map(([name, content]) => ({ name, type: typeOf(content), ...content })),
});

export const text = (content: string): { s: Uint8Array } => ({ s: new TextEncoder().encode(content) });

export const constant = (name: string, content: Tensor): NodeProto =>
  node('Constant', '', name, { value: { t: writeTensor('', content) } });

const names = (list: string): string[] =>
  list
    .split(' ')
    .filter(Boolean)
    .map((name) => (name === '-' ? '' : name));

const types = { f: 1, i: 2, s: 3, t: 4, g: 5, floats: 6, ints: 7, strings: 8 } as const;

const typeOf = (content: AttributeProto): number =>
  Object.entries(types).find(([field]) => Object.hasOwn(content, field))?.[1] ?? 0;
