/** Tensors joined and split along an axis: https://onnx.ai/onnx/operators/onnx__Concat.html, onnx__Split.html */
import type { Dimension } from '../../graph/graph.js';
import { ceilQuotientOf, differenceOf, productOf, sumOf, unknownSize } from '../dimension.js';
import type { GraphBuilder } from '../graph-builder.js';
import { sizeOfAxis, zerosLike } from '../indexing.js';
import { isGiven, knownOf, movedElements, numericShape } from '../known.js';
import { movement, type GradientSite, type Known, type OperatorRows, type Site } from '../operator.js';
import { axisOf, inputOf, intOf, intsOf, malformed, shapeOf, sizesOf } from '../site.js';

function inferConcat(site: Site): Known[] {
  const { dtype } = inputOf(site, 0);
  const shapes = site.node.inputs.map((_, i) => inputOf(site, i).shape).filter((shape) => shape !== undefined);
  const [first] = shapes;
  if (first === undefined || shapes.length < site.node.inputs.length) return [knownOf(dtype, undefined)];
  const axis = axisOf(site.node, intOf(site.node, 'axis', 0), first.length);
  if (!shapes.every((shape) => agrees(shape, first, axis)))
    throw malformed(site.node, `joins shapes [${shapes.map((each) => each.join(', ')).join('] and [')}]`);
  const shape = first.map((size, i) =>
    i === axis
      ? sumOf(shapes.map((each) => each[axis] ?? 1))
      : shapes.reduce<Dimension>((common, each) => known(common, each[i] ?? 1), size),
  );
  return [knownOf(dtype, shape, joinedElements(site, { axis, shape }))];
}

/** Sizes of one axis that must be equal: the number where one is known. */
const known = (a: Dimension, b: Dimension): Dimension => (typeof a === 'number' ? a : typeof b === 'number' ? b : a);

const agrees = (shape: readonly Dimension[], first: readonly Dimension[], axis: number): boolean =>
  shape.length === first.length &&
  shape.every((size, i) => i === axis || typeof size === 'string' || typeof first[i] === 'string' || size === first[i]);

function joinedElements(
  site: Site,
  { axis, shape }: { axis: number; shape: readonly Dimension[] },
): readonly Dimension[] | undefined {
  const parts = site.inputs.map((input) => input?.elements);
  const all = parts.filter((part) => part !== undefined);
  if (all.length < parts.length || numericShape(shape) === undefined) return undefined;
  // Rows of the axes behind: those of each part follow each other for every index of the axes before.
  const outer = Number(productOf(shape.slice(0, axis)));
  return Array.from({ length: outer }, (_, i) =>
    all.flatMap((part) => part.slice((i * part.length) / outer, ((i + 1) * part.length) / outer)),
  ).flat();
}

function concatGradient(site: GradientSite, build: GraphBuilder): string[] {
  const [dy] = site.outputGradients;
  const { inputs } = site.node;
  if (dy === undefined) return [];
  if (inputs.length === 1) return [dy];
  const axis = axisOf(site.node, intOf(site.node, 'axis', 0), shapeOf(site, 0).length);
  const sizes = inputs.map((_, i) => shapeOf(site, i)[axis]).filter((size) => typeof size === 'number');
  const parts =
    sizes.length === inputs.length
      ? build.ints(sizes)
      : build.add(
          'Concat',
          inputs.map((name) => sizeOfAxis(name, axis, build)),
          { axis: 0 },
        );
  return build.addMany('Split', [dy, parts], inputs.length, { axis });
}

/** The sizes of the parts: given, or equal but for a smaller last one. */
function splitSizes(site: Site): { axis: number; sizes: readonly Dimension[] } {
  const shape = shapeOf(site, 0);
  const axis = axisOf(site.node, intOf(site.node, 'axis', 0), shape.length);
  const total = shape[axis] ?? 1;
  const count = site.node.outputs.length;
  const given = isGiven(site, 1) ? sizesOf(site, 1) : intsOf(site.node, 'split');
  if (given !== undefined) {
    const sum = sumOf(given);
    if (typeof total === 'number' && typeof sum === 'number' && sum !== total)
      throw malformed(site.node, `splits ${total} elements into [${given.join(', ')}]`);
    return { axis, sizes: given };
  }
  if (isGiven(site, 1))
    return { axis, sizes: Array.from({ length: count }, (_, i) => unknownSize(site.node.name, `part${i}`)) };
  const each = ceilQuotientOf(total, count);
  const last = differenceOf(total, productOf([each, count - 1]));
  return {
    axis,
    sizes: Array.from({ length: count }, (_, i) => {
      if (typeof each === 'number' && typeof total === 'number') return Math.max(0, Math.min(each, total - i * each));
      return i === count - 1 ? last : each;
    }),
  };
}

function inferSplit(site: Site): Known[] {
  const from = inputOf(site, 0);
  if (from.shape === undefined) return site.node.outputs.map(() => knownOf(from.dtype, undefined));
  const { axis, sizes } = splitSizes(site);
  let begin = 0;
  return sizes.map((size) => {
    const shape = from.shape?.with(axis, size);
    const start = begin;
    begin += Number(size);
    return knownOf(
      from.dtype,
      shape,
      movedElements(from, shape, (place) => place.with(axis, (place[axis] ?? 0) + start)),
    );
  });
}

/** Parts without a gradient are zeros; those that have no name are made from their known sizes. */
function splitGradient(site: GradientSite, build: GraphBuilder): string[] {
  const { axis, sizes } = splitSizes(site);
  const [some = ''] = site.outputGradients.filter((gradient) => gradient !== undefined);
  const parts = site.node.outputs.map((name, i) => {
    const gradient = site.outputGradients[i];
    if (gradient !== undefined) return gradient;
    if (name !== '') return zerosLike(name, build);
    return zerosOfSize(some, { axis, size: Number(sizes[i] ?? 0) }, build);
  });
  return [build.add('Concat', parts, { axis })];
}

/** Zeros like `value` but for the size of one axis. */
function zerosOfSize(value: string, { axis, size }: { axis: number; size: number }, build: GraphBuilder): string {
  const rank = build.shapeOf(value).length;
  const own = (start: number, end: number): string[] =>
    start === end ? [] : [build.add('Shape', [value], { start, end })];
  const shape = [...own(0, axis), build.ints([size]), ...own(axis + 1, rank)];
  return build.add('Expand', [build.scalar(0, value), build.add('Concat', shape, { axis: 0 })]);
}

export const joinOperators: OperatorRows = {
  Concat: movement({ infer: inferConcat, gradient: concatGradient }),
  Split: movement({ infer: inferSplit, gradient: splitGradient }),
};
