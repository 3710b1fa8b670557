/** Sizes as numbers, and tensors made from them: https://onnx.ai/onnx/operators/onnx__Shape.html, onnx__Range.html */
import { elementTypeOf } from '../../formats/onnx/data-types.js';
import type { Attribute, Dimension } from '../../graph/graph.js';
import { ceilQuotientOf, differenceOf, productOf, unknownSize } from '../dimension.js';
import { followedElements, knownOf } from '../known.js';
import { movement, operator, type Known, type OperatorRows, type Site } from '../operator.js';
import { inputOf, intOf, malformed, sizesOf } from '../site.js';
import { unknownShape } from './reshape.js';

function inferShape(site: Site): Known[] {
  const { shape } = inputOf(site, 0);
  if (shape === undefined) return [knownOf('int64', [unknownSize(site.node.name, 'rank')])];
  const end = site.node.attributes['end'];
  const elements = shape.slice(intOf(site.node, 'start', 0), end?.kind === 'int' ? end.value : undefined);
  return [knownOf('int64', [elements.length], elements)];
}

function inferSize(site: Site): Known[] {
  const { shape } = inputOf(site, 0);
  return [knownOf('int64', [], shape && [productOf(shape)])];
}

const numbersOfAttribute = (attribute: Attribute | undefined): readonly Dimension[] | undefined =>
  attribute?.kind === 'tensor' ? Array.from(attribute.value.data as Iterable<number>, Number) : undefined;

function inferConstantOfShape(site: Site): Known[] {
  const elements = sizesOf(site, 0);
  const { value } = site.node.attributes;
  const dtype = value?.kind === 'tensor' ? value.value.dtype : 'float32';
  const shape = elements ?? unknownShape(site, 0);
  const count = elements && productOf(elements);
  const [filler = 0] = numbersOfAttribute(value) ?? [];
  const filled =
    typeof count === 'number' && count <= followedElements ? Array<Dimension>(count).fill(filler) : undefined;
  return [knownOf(dtype, shape, filled)];
}

/** The value stands in one of several attributes; an opaque one has no array here. */
function inferConstant({ node }: Site): Known[] {
  const { value, value_float, value_floats, value_int, value_ints } = node.attributes;
  if (value?.kind === 'tensor') return [knownOf(value.value.dtype, value.value.shape, numbersOfAttribute(value))];
  if (value?.kind === 'opaque') return [knownOf(value.value.type, value.value.shape)];
  if (value_float?.kind === 'float') return [knownOf('float32', [], [value_float.value])];
  if (value_int?.kind === 'int') return [knownOf('int64', [], [value_int.value])];
  if (value_floats?.kind === 'floats') return [knownOf('float32', [value_floats.value.length], value_floats.value)];
  if (value_ints?.kind === 'ints') return [knownOf('int64', [value_ints.value.length], value_ints.value)];
  throw malformed(node, 'has no value');
}

/** max(0, ceil((limit - start) / delta)) numbers. */
function inferRange(site: Site): Known[] {
  const { dtype } = inputOf(site, 0);
  const [start, limit, delta] = [0, 1, 2].map((i) => site.inputs[i]?.elements?.[0]);
  const unknown = [knownOf(dtype, [unknownSize(site.node.name, 'count')])];
  if (start === undefined || limit === undefined || typeof delta !== 'number' || delta === 0) return unknown;
  if (typeof start === 'number' && typeof limit === 'number') {
    const count = Math.max(0, Math.ceil((limit - start) / delta));
    const elements = count <= followedElements ? Array.from({ length: count }, (_, i) => start + i * delta) : undefined;
    return [knownOf(dtype, [count], elements)];
  }
  return delta > 0 ? [knownOf(dtype, [ceilQuotientOf(differenceOf(limit, start), delta)])] : unknown;
}

function inferEyeLike(site: Site): Known[] {
  const { dtype, shape } = inputOf(site, 0);
  return [knownOf(elementTypeOf(intOf(site.node, 'dtype', 0)) ?? dtype, shape)];
}

export const sizeOperators: OperatorRows = {
  Constant: movement({ infer: inferConstant, gradient: 'not differentiable' }),
  ConstantOfShape: movement({ infer: inferConstantOfShape, gradient: 'not differentiable' }),
  /** Only the shape of the input counts, so the gradient by it is zero. */
  EyeLike: movement({ infer: inferEyeLike, gradient: () => [] }),
  Range: operator({ infer: inferRange, gradient: 'not differentiable' }),
  Shape: movement({ infer: inferShape, gradient: 'not differentiable' }),
  Size: movement({ infer: inferSize, gradient: 'not differentiable' }),
};
