/** The value of a Constant node: https://onnx.ai/onnx/operators/onnx__Constant.html */
import { tensor } from '@graft/core/tensor';
import { GraftError } from '@graft/core/error';

import type { Attribute } from '../../graph/graph.js';
import { wholeInteger, type NodeProto } from './onnx-schema.js';
import { textOf } from './opaque-tensor.js';
import { readTensorAttribute } from './read-attribute.js';

export const isConstant = (node: NodeProto): boolean =>
  node.opType === 'Constant' && (node.domain === undefined || node.domain === '' || node.domain === 'ai.onnx');

/** A tensor, which becomes a weight, or a constant of a type without an array, which stays a node. */
export function readConstant(node: NodeProto): Extract<Attribute, { kind: 'tensor' | 'opaque' }> {
  const what = `constant '${node.output?.[0] ?? ''}'`;
  const attribute = node.attribute?.[0];
  if (attribute === undefined || node.attribute?.length !== 1) {
    throw new GraftError('MODEL_MALFORMED', `${what} needs exactly one attribute`);
  }
  if (attribute.refAttrName) throw new GraftError('MODEL_UNSUPPORTED', `${what} refers to an attribute of a function`);
  switch (attribute.name) {
    case 'value':
      if (attribute.t) return readTensorAttribute(attribute.t, what);
      break;
    case 'value_float':
      return { kind: 'tensor', value: tensor('float32', [], Float32Array.of(attribute.f ?? 0)) };
    case 'value_floats': {
      const values = Float32Array.from(attribute.floats ?? []);
      return { kind: 'tensor', value: tensor('float32', [values.length], values) };
    }
    case 'value_int':
      return { kind: 'tensor', value: tensor('int64', [], BigInt64Array.of(wholeInteger(attribute.i))) };
    case 'value_ints': {
      const values = (attribute.ints ?? []).map(wholeInteger);
      return { kind: 'tensor', value: tensor('int64', [values.length], BigInt64Array.from(values)) };
    }
    case 'value_string':
      return { kind: 'opaque', value: { type: 'string', shape: [], data: [textOf(attribute.s, what)] } };
    case 'value_strings': {
      const data = (attribute.strings ?? []).map((text) => textOf(text, what));
      return { kind: 'opaque', value: { type: 'string', shape: [data.length], data } };
    }
  }
  throw new GraftError('MODEL_UNSUPPORTED', `${what} is given by '${attribute.name ?? ''}', which is not supported`);
}
