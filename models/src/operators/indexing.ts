/** Operators that take tensors apart and put them together: https://onnx.ai/onnx/operators/onnx__Slice.html */
import type { Dimension, Node } from '../graph/graph.js';
import { unknownSize } from './dimension.js';
import type { GraphBuilder } from './graph-builder.js';
import { movement, type GradientSite, type Known, type OperatorRows, type Site } from './operator.js';
import {
  axisOf,
  fixedSize,
  inputOf,
  intOf,
  malformed,
  notDifferentiable,
  numbersOf,
  shapeOf,
  stringOf,
} from './site.js';

interface Range {
  readonly axis: number;
  readonly start: number;
  readonly step: number;
  /** Elements taken; a symbol where the whole of a symbolic axis is. */
  readonly size: Dimension;
}

/** The ranges of a Slice, with starts and ends clamped as the operator's page says. */
function rangesOf(site: Site): Range[] {
  const shape = shapeOf(site, 0);
  const [starts, ends] = [numbersOf(site, 1) ?? [], numbersOf(site, 2) ?? []];
  const axes = numbersOf(site, 3) ?? starts.map((_, axis) => axis);
  const steps = numbersOf(site, 4) ?? starts.map(() => 1);
  return starts.map((start, i): Range => {
    const axis = axisOf(site.node, axes[i] ?? i, shape.length);
    const step = steps[i] ?? 1;
    const end = ends[i] ?? 0;
    const size = shape[axis];
    if (typeof size !== 'number') {
      const whole =
        (start === 0 && step === 1 && end >= 2 ** 31 - 1) || (step === -1 && start === -1 && end <= -(2 ** 31));
      if (whole && size !== undefined) return { axis, start: 0, step, size };
      return { axis, start, step, size: fixedSize(site, size, `size of axis ${axis}`) };
    }
    const clamp = (value: number): number => {
      const fromFront = value < 0 ? value + size : value;
      return step > 0 ? Math.min(Math.max(fromFront, 0), size) : Math.min(Math.max(fromFront, -1), size - 1);
    };
    const from = clamp(start);
    return { axis, start: from, step, size: Math.max(0, Math.ceil((clamp(end) - from) / step)) };
  });
}

function inferSlice(site: Site): Known[] {
  const { dtype, elements } = inputOf(site, 0);
  const shape = [...shapeOf(site, 0)];
  const ranges = rangesOf(site);
  for (const { axis, size } of ranges) shape[axis] = size;
  const [range] = ranges;
  if (elements === undefined || shape.length !== 1 || range === undefined) return [{ dtype, shape }];
  const taken = Array.from({ length: Number(range.size) }, (_, i) => elements[range.start + i * range.step] ?? 0);
  return [{ dtype, shape, elements: taken }];
}

/** Zeros around the gradient, and between its elements where the step is above 1. */
function sliceGradient(site: GradientSite, build: GraphBuilder): string[] {
  const [dy] = site.outputGradients;
  if (dy === undefined) return [];
  const shape = shapeOf(site, 0);
  const ranges = rangesOf(site).filter(({ axis, size, step }) => step !== 1 || shape[axis] !== size);
  if (ranges.length === 0) return [dy];
  if (ranges.some(({ step }) => step !== 1))
    throw notDifferentiable(site.node, 'takes every other element, which has no gradient here');
  const begins = ranges.map(({ start }) => start);
  const ends = ranges.map(({ axis, start, size }) => Number(shape[axis]) - start - Number(size));
  return [pad(dy, [...begins, ...ends], { axes: ranges.map(({ axis }) => axis), build })];
}

/** Zeros before and after along some axes; `amounts` as Pad takes them. */
export function pad(
  value: string,
  amounts: readonly number[],
  { axes, build }: { axes: readonly number[]; build: GraphBuilder },
): string {
  if (amounts.every((amount) => amount === 0)) return value;
  return build.add('Pad', [value, build.ints(amounts), build.scalar(0, value), build.ints(axes)]);
}

/** Part of a value along axes: [start, start + size x step) in steps. */
export function slice(
  value: string,
  ranges: readonly { axis: number; start: number; end: number; step?: number }[],
  build: GraphBuilder,
): string {
  const of = (pick: (range: (typeof ranges)[number]) => number): string => build.ints(ranges.map(pick));
  return build.add('Slice', [
    value,
    of(({ start }) => start),
    of(({ end }) => end),
    of(({ axis }) => axis),
    of(({ step }) => step ?? 1),
  ]);
}

function inferConcat(site: Site): Known[] {
  const shapes = site.node.inputs.map((_, i) => shapeOf(site, i));
  const [first = []] = shapes;
  const axis = axisOf(site.node, intOf(site.node, 'axis', 0), first.length);
  const sizes = shapes.map((shape) => shape[axis] ?? 1);
  const total = sizes.every((size) => typeof size === 'number')
    ? sizes.reduce((sum, size) => sum + size, 0)
    : `${site.node.name}:sum`;
  const shape = first.map((size, i) =>
    i === axis ? total : (shapes.find((each) => typeof each[i] === 'number')?.[i] ?? size),
  );
  for (const other of shapes) {
    const fits =
      other.length === first.length &&
      other.every(
        (size, i) => i === axis || typeof size === 'string' || typeof shape[i] === 'string' || size === shape[i],
      );
    if (!fits) throw malformed(site.node, `joins shapes [${shapes.map((each) => each.join(', ')).join('] and [')}]`);
  }
  const parts = site.inputs.map((known) => known?.elements);
  const elements = first.length === 1 && parts.every((part) => part !== undefined) ? parts.flat() : undefined;
  return [{ dtype: inputOf(site, 0).dtype, shape, ...(elements && { elements }) }];
}

function splitSizes(site: Site): { axis: number; sizes: number[] } {
  const shape = shapeOf(site, 0);
  const axis = axisOf(site.node, intOf(site.node, 'axis', 0), shape.length);
  const given = numbersOf(site, 1);
  if (given !== undefined) return { axis, sizes: [...given] };
  const total = fixedSize(site, shape[axis], `size of axis ${axis}`);
  const count = site.node.outputs.length;
  const each = Math.ceil(total / count);
  return { axis, sizes: Array.from({ length: count }, (_, i) => Math.min(each, total - i * each)) };
}

function inferSplit(site: Site): Known[] {
  const { axis, sizes } = splitSizes(site);
  const { dtype } = inputOf(site, 0);
  return sizes.map((size) => ({ dtype, shape: shapeOf(site, 0).map((all, i) => (i === axis ? size : all)) }));
}

/** Zeros of the shape of a value. */
export function zerosLike(value: string, build: GraphBuilder): string {
  return build.add('Expand', [build.scalar(0, value), build.add('Shape', [value])]);
}

function inferGather(site: Site): Known[] {
  const [shape, indices] = [shapeOf(site, 0), shapeOf(site, 1)];
  const axis = axisOf(site.node, intOf(site.node, 'axis', 0), shape.length);
  const { dtype, elements } = inputOf(site, 0);
  const picked = inputOf(site, 1).elements;
  const known =
    elements !== undefined && shape.length === 1 && picked?.every((index) => typeof index === 'number')
      ? picked.map((index) => elements.at(index) ?? 0)
      : undefined;
  return [
    {
      dtype,
      shape: [...shape.slice(0, axis), ...indices, ...shape.slice(axis + 1)],
      ...(known && { elements: known }),
    },
  ];
}

/** Adds each row of the gradient to where it was taken from; the axis is brought to the front for that. */
function gatherGradient(site: GradientSite, build: GraphBuilder): string[] {
  const [dy] = site.outputGradients;
  const [x = '', indices = ''] = site.node.inputs;
  if (dy === undefined) return [];
  const rank = shapeOf(site, 0).length;
  const axis = axisOf(site.node, intOf(site.node, 'axis', 0), rank);
  const indexRank = shapeOf(site, 1).length;
  const points = build.add('Unsqueeze', [indices, build.ints([-1])]);
  if (axis === 0) return [build.add('ScatterND', [zerosLike(x, build), points, dy], { reduction: 'add' })];
  const front = [axis, ...range(0, axis), ...range(axis + 1, rank)];
  const rows = build.add('Transpose', [dy], {
    perm: [...range(axis, axis + indexRank), ...range(0, axis), ...range(axis + indexRank, rank - 1 + indexRank)],
  });
  const zeros = build.add('Transpose', [zerosLike(x, build)], { perm: front });
  const sum = build.add('ScatterND', [zeros, points, rows], { reduction: 'add' });
  return [build.add('Transpose', [sum], { perm: range(0, rank).map((i) => front.indexOf(i)) })];
}

const range = (begin: number, end: number): number[] => Array.from({ length: end - begin }, (_, i) => begin + i);

function padAmounts(site: Site): { axes: readonly number[]; begins: readonly number[]; ends: readonly number[] } {
  const rank = shapeOf(site, 0).length;
  const amounts = numbersOf(site, 1) ?? [];
  const axes = (numbersOf(site, 3) ?? range(0, rank)).map((axis) => axisOf(site.node, axis, rank));
  return { axes, begins: amounts.slice(0, axes.length), ends: amounts.slice(axes.length) };
}

function inferPad(site: Site): Known[] {
  const { axes, begins, ends } = padAmounts(site);
  const shape = [...shapeOf(site, 0)];
  for (const [i, axis] of axes.entries()) {
    const added = (begins[i] ?? 0) + (ends[i] ?? 0);
    if (added !== 0) shape[axis] = fixedSize(site, shape[axis], `size of axis ${axis}`) + added;
  }
  return [{ dtype: inputOf(site, 0).dtype, shape }];
}

function padGradient(site: GradientSite, build: GraphBuilder): string[] {
  const [dy] = site.outputGradients;
  if (dy === undefined) return [];
  constantMode(site.node);
  const { axes, begins, ends } = padAmounts(site);
  const shape = shapeOf(site, 0);
  const padded = axes.flatMap((axis, i) => {
    const [begin, end] = [begins[i] ?? 0, ends[i] ?? 0];
    if (begin < 0 || end < 0)
      throw notDifferentiable(site.node, 'pads by a negative amount, which has no gradient here');
    return begin + end === 0 ? [] : [{ axis, start: begin, end: begin + Number(shape[axis]) }];
  });
  return padded.length === 0 ? [dy] : [slice(dy, padded, build)];
}

function constantMode(node: Node): void {
  const mode = stringOf(node, 'mode', 'constant');
  if (mode !== 'constant') throw notDifferentiable(node, `pads in mode '${mode}', which has no gradient here`);
}

export const indexingOperators: OperatorRows = {
  /** Coordinates of what is not zero, one column each. */
  NonZero: movement({
    infer: (site) => [{ dtype: 'int64', shape: [shapeOf(site, 0).length, unknownSize(site.node.name, 'count')] }],
    gradient: 'not differentiable',
  }),
  Slice: movement({ infer: inferSlice, gradient: sliceGradient }),
  Concat: movement({
    infer: inferConcat,
    gradient: (site, build) => {
      const [dy] = site.outputGradients;
      if (dy === undefined) return [];
      const axis = axisOf(site.node, intOf(site.node, 'axis', 0), shapeOf(site, 0).length);
      const sizes = site.node.inputs.map((_, i) => fixedSize(site, shapeOf(site, i)[axis], `size of axis ${axis}`));
      return build.addMany('Split', [dy, build.ints(sizes)], sizes.length, { axis });
    },
  }),
  Split: movement({
    infer: inferSplit,
    gradient: (site, build) => {
      const { axis } = splitSizes(site);
      const parts = site.node.outputs.map((name, i) => site.outputGradients[i] ?? zerosLike(name, build));
      return [build.add('Concat', parts, { axis })];
    },
  }),
  Gather: movement({ infer: inferGather, gradient: gatherGradient }),
  Pad: movement({ infer: inferPad, gradient: padGradient }),
  /** Only what gradients need: their result has the type of the data. */
  ScatterND: movement({
    infer: (site) => [{ dtype: inputOf(site, 0).dtype, shape: shapeOf(site, 0) }],
    gradient: 'not differentiable',
  }),
  ScatterElements: movement({
    infer: (site) => [{ dtype: inputOf(site, 0).dtype, shape: shapeOf(site, 0) }],
    gradient: 'not differentiable',
  }),
};
