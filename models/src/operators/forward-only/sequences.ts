/** Lists of tensors and values that may be missing: https://onnx.ai/onnx/operators/onnx__SequenceAt.html and its kin. */
import { elementTypeOf } from '../../formats/onnx/data-types.js';
import type { Container } from '../../graph/graph.js';
import { unknownSize } from '../dimension.js';
import { knownOf, knownNumbers } from '../known.js';
import { movement, type Known, type Operator, type OperatorRows, type Site } from '../operator.js';
import { axisOf, inputOf, intOf, malformed } from '../site.js';

const row = (infer: Operator['infer']): Operator => movement({ infer, gradient: 'not yet' });

const scalar: Known = knownOf('int64', []);

/** A list whose tensors are all like these, as far as they are like each other. */
function listOf(site: Site, tensors: readonly (Known | undefined)[]): Known {
  const [first] = tensors;
  if (first === undefined) throw malformed(site.node, 'makes a list of nothing');
  const ranks = new Set(tensors.map((each) => each?.shape?.length));
  const same = ranks.size === 1 && first.shape !== undefined;
  const shape = first.shape?.map((size, axis) =>
    tensors.every((each) => each?.shape?.[axis] === size) ? size : unknownSize(site.node.name, `size.${axis}`),
  );
  return { ...knownOf(first.dtype, same ? shape : undefined), container: 'sequence' };
}

/** Of a list that is given, with the shape of its tensors forgotten. */
const anyList = (site: Site): Known => ({ dtype: inputOf(site, 0).dtype, container: 'sequence' });

function inferSplit(site: Site): Known[] {
  const { dtype, shape } = inputOf(site, 0);
  if (shape === undefined) return [{ dtype, container: 'sequence' }];
  const axis = axisOf(site.node, intOf(site.node, 'axis', 0), shape.length);
  const keep = site.inputs[1] !== undefined || intOf(site.node, 'keepdims', 1) === 1;
  const sizes = site.inputs[1] === undefined ? [1] : [...new Set(knownNumbers(site, 1) ?? [])];
  const [size] = sizes;
  const part = sizes.length === 1 && size !== undefined ? size : unknownSize(site.node.name, 'part');
  return [{ ...knownOf(dtype, keep ? shape.with(axis, part) : shape.toSpliced(axis, 1)), container: 'sequence' }];
}

function inferConcat(site: Site): Known[] {
  const { dtype, shape } = inputOf(site, 0);
  const joined = unknownSize(site.node.name, 'joined');
  if (shape === undefined) return [{ dtype }];
  if (intOf(site.node, 'new_axis', 0) === 0) {
    return [knownOf(dtype, shape.with(axisOf(site.node, intOf(site.node, 'axis', 0), shape.length), joined))];
  }
  const axis = axisOf(site.node, intOf(site.node, 'axis', 0), shape.length + 1);
  return [knownOf(dtype, shape.toSpliced(axis, 0, joined))];
}

const optionalOf: Readonly<Record<string, Container>> = { '': 'optional', sequence: 'optional sequence' };

function inferOptional(site: Site): Known[] {
  const { type } = site.node.attributes;
  const inner = site.inputs[0] ?? (type?.kind === 'type' ? type.value : undefined);
  if (inner === undefined) throw malformed(site.node, 'has neither an input nor a type');
  return [{ ...inner, container: optionalOf[inner.container ?? ''] ?? 'optional' }];
}

/** Until it ran, what is inside is what was declared. */
function inferElement(site: Site): Known[] {
  const { container, ...inside } = inputOf(site, 0);
  return [
    container === 'optional sequence' || container === 'sequence' ? { ...inside, container: 'sequence' } : inside,
  ];
}

export const sequenceOperators: OperatorRows = {
  ConcatFromSequence: row(inferConcat),
  Optional: row(inferOptional),
  OptionalGetElement: row(inferElement),
  OptionalHasElement: row(() => [knownOf('bool', [])]),
  SequenceAt: row((site) => [knownOf(inputOf(site, 0).dtype, inputOf(site, 0).shape)]),
  SequenceConstruct: row((site) => [listOf(site, site.inputs)]),
  SequenceEmpty: row(({ node }) => [
    { dtype: elementTypeOf(intOf(node, 'dtype', 1)) ?? 'float32', container: 'sequence' },
  ]),
  SequenceErase: row((site) => [inputOf(site, 0)]),
  SequenceInsert: row((site) => [anyList(site)]),
  SequenceLength: row(() => [scalar]),
  SplitToSequence: row(inferSplit),
};
