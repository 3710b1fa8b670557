/** AttributeProto to attribute. */
import { GraftError } from '@graft/core/error';

import { isOpaque } from '../../graph/element-type.js';
import type { Attribute, Graph } from '../../graph/graph.js';
import { elementTypeFrom } from './data-types.js';
import { integer, type AttributeProto, type GraphProto, type Int64, type TensorProto } from './onnx-schema.js';
import { readOpaque, textOf } from './opaque-tensor.js';
import { readType } from './read-type.js';
import { readTensor } from './tensor-proto.js';

/** AttributeProto.AttributeType of onnx.proto. */
const types = { float: 1, int: 2, string: 3, tensor: 4, graph: 5, floats: 6, ints: 7, strings: 8, type: 13 } as const;

/** @param readGraph reads a subgraph, in the scope of its node */
export function readAttribute(proto: AttributeProto, what: string, readGraph: (proto: GraphProto) => Graph): Attribute {
  if (proto.refAttrName) throw new GraftError('MODEL_UNSUPPORTED', `${what} refers to an attribute of a function`);
  switch (proto.type) {
    case types.float:
      return { kind: 'float', value: proto.f ?? 0 };
    case types.int:
      return { kind: 'int', value: integer(proto.i, what) };
    case types.string:
      return { kind: 'string', value: textOf(proto.s, what) };
    case types.tensor:
      return readTensorAttribute(proto.t ?? {}, what);
    case types.graph:
      return { kind: 'graph', value: readGraph(proto.g ?? {}) };
    case types.floats:
      return { kind: 'floats', value: [...(proto.floats ?? [])] };
    case types.ints:
      return { kind: 'ints', value: (proto.ints ?? []).map(isRange(proto) ? clamped : (each) => integer(each, what)) };
    case types.strings:
      return { kind: 'strings', value: (proto.strings ?? []).map((text) => textOf(text, what)) };
    case types.type:
      return { kind: 'type', value: readType(proto.tp, what, what) };
  }
  throw new GraftError('MODEL_UNSUPPORTED', `${what} has type ${proto.type ?? 0}, which is not supported`);
}

export function readTensorAttribute(
  proto: TensorProto,
  what: string,
): Extract<Attribute, { kind: 'tensor' | 'opaque' }> {
  const type = elementTypeFrom(proto.dataType, what);
  return isOpaque(type)
    ? { kind: 'opaque', value: readOpaque(proto, type, what) }
    : { kind: 'tensor', value: readTensor(proto, what) };
}

/** Exporters write the largest int64 for 'to the end' of a Slice; past any size, the largest safe integer says the same. */
const isRange = ({ name }: AttributeProto): boolean => name === 'starts' || name === 'ends';

function clamped(value: Int64): number {
  const number = typeof value === 'number' ? value : value.toNumber();
  return Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, number));
}
