/** What is found in a tensor, and marks at places: https://onnx.ai/onnx/operators/onnx__NonZero.html, onnx__OneHot.html */
import { unknownSize } from '../dimension.js';
import type { GraphBuilder } from '../graph-builder.js';
import { knownOf } from '../known.js';
import { movement, operator, type GradientSite, type Known, type OperatorRows, type Site } from '../operator.js';
import { axisOf, inputOf, intOf, sizesOf } from '../site.js';

function inferNonZero(site: Site): Known[] {
  const { shape } = inputOf(site, 0);
  const [rank, count] = ['rank', 'count'].map((what) => unknownSize(site.node.name, what));
  return [knownOf('int64', [shape?.length ?? rank ?? 0, count ?? 0])];
}

function inferOneHot(site: Site): Known[] {
  const [{ shape }, { dtype }] = [inputOf(site, 0), inputOf(site, 2)];
  if (shape === undefined) return [knownOf(dtype, undefined)];
  const axis = axisOf(site.node, intOf(site.node, 'axis', -1), shape.length + 1);
  const [depth = unknownSize(site.node.name, 'depth')] = sizesOf(site, 1) ?? [];
  return [knownOf(dtype, shape.toSpliced(axis, 0, depth))];
}

/** The sums of dy where the mark is off and where it is on. */
function oneHotGradient(site: GradientSite, build: GraphBuilder): (string | undefined)[] {
  const [dy] = site.outputGradients;
  const [indices = '', depth = '', values = ''] = site.node.inputs;
  if (dy === undefined) return [];
  const bounds = build.add(
    'Concat',
    [0, 1].map((mark) => vectorOf(mark, values, build)),
    { axis: 0 },
  );
  const marks = build.add('OneHot', [indices, depth, bounds], { axis: intOf(site.node, 'axis', -1) });
  const total = (value: string): string =>
    build.add('Reshape', [build.add('ReduceSum', [value], { keepdims: 0 }), build.ints([1])]);
  const on = total(build.add('Mul', [dy, marks]));
  return [undefined, undefined, build.add('Concat', [build.add('Sub', [total(dy), on]), on], { axis: 0 })];
}

const vectorOf = (value: number, like: string, build: GraphBuilder): string =>
  build.add('Reshape', [build.scalar(value, like), build.ints([1])]);

/** Values in order, and where each was first, each input's place among them, and how often each occurs. */
function inferUnique(site: Site): Known[] {
  const { dtype, shape } = inputOf(site, 0);
  const axis = site.node.attributes['axis'];
  const count = unknownSize(site.node.name, 'count');
  const vector = (size: number | string): Known => knownOf('int64', [size]);
  if (axis?.kind === 'int') {
    const along = shape && axisOf(site.node, axis.value, shape.length);
    const size = (along === undefined ? undefined : shape?.[along]) ?? unknownSize(site.node.name, 'size');
    const values = knownOf(dtype, along === undefined ? undefined : shape?.with(along, count));
    return [values, vector(count), vector(size), vector(count)];
  }
  const all = unknownSize(site.node.name, 'size');
  const numbers = shape?.filter((size) => typeof size === 'number');
  const known = numbers?.length === shape?.length ? numbers?.reduce((product, size) => product * size, 1) : undefined;
  return [knownOf(dtype, [count]), vector(count), vector(known ?? all), vector(count)];
}

export const selectionOperators: OperatorRows = {
  NonZero: movement({ infer: inferNonZero, gradient: 'not differentiable' }),
  OneHot: movement({ infer: inferOneHot, gradient: oneHotGradient }),
  Unique: operator({ infer: inferUnique, gradient: 'not differentiable' }),
};
