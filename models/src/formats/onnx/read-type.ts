/** TypeProto to a value's type: tensors, lists of tensors, and either of them where it may be missing. */
import { GraftError } from '@graft/core/error';

import type { Container, Dimension, Value, ValueType } from '../../graph/graph.js';
import { elementTypeFrom } from './data-types.js';
import { integer, type TypeProto, type ValueInfoProto } from './onnx-schema.js';

/** A value that a graph declares. A subgraph may leave the type to the node that makes the value. */
export function readValue(
  proto: ValueInfoProto,
  { role, inSubgraph }: { readonly role: 'input' | 'output'; readonly inSubgraph: boolean },
): Value {
  const name = proto.name ?? '';
  if (name === '') throw new GraftError('MODEL_MALFORMED', `an ${role} has no name`);
  if (inSubgraph && isUndeclared(proto.type)) return { name, dtype: 'undefined' };
  return { name, ...readType(proto.type, name, `${role} '${name}'`) };
}

/** Neither a type nor an element type, or an element type of 0. */
function isUndeclared(type: TypeProto | undefined): boolean {
  if (!type) return true;
  const { tensorType } = type;
  const other = type.sequenceType ?? type.optionalType ?? type.mapType ?? type.sparseTensorType;
  return other === undefined && (tensorType?.elemType ?? 0) === 0;
}

/** @param name the dimensions that say nothing are called after it */
export function readType(proto: TypeProto | undefined, name: string, what: string): ValueType {
  let [type, container]: [TypeProto | undefined, Container | undefined] = [proto, undefined];
  if (type?.optionalType) [type, container] = [type.optionalType.elemType, 'optional'];
  if (type?.sequenceType) {
    [type, container] = [type.sequenceType.elemType, container === undefined ? 'sequence' : 'optional sequence'];
  }
  const tensorType = type?.tensorType;
  if (!tensorType) {
    throw new GraftError(
      'MODEL_UNSUPPORTED',
      `${what} is not declared as a tensor, a sequence of tensors, or an optional of those`,
    );
  }
  const dtype = elementTypeFrom(tensorType.elemType, what);
  const rest = container === undefined ? {} : { container };
  if (!tensorType.shape) return { dtype, ...rest };
  const shape = (tensorType.shape.dim ?? []).map((dim, axis): Dimension => {
    if (Object.hasOwn(dim, 'dimParam') && dim.dimParam) return dim.dimParam;
    // A dimension that says nothing is a size of its own: its symbol is used nowhere else.
    if (!Object.hasOwn(dim, 'dimValue')) return `${name}.${axis}`;
    const size = integer(dim.dimValue, `dimension ${axis} of ${what}`);
    if (size < 0) throw new GraftError('MODEL_MALFORMED', `${what} has the negative dimension ${size}`);
    return size;
  });
  return { dtype, shape, ...rest };
}
