/** Parts of tensors along axes: https://onnx.ai/onnx/operators/onnx__Slice.html */
import type { Dimension } from '../../graph/graph.js';
import { castTo } from '../broadcast.js';
import { ceilQuotientOf, differenceOf, smallerOf, sumOf, unknownSize } from '../dimension.js';
import type { GraphBuilder } from '../graph-builder.js';
import { int, pad, sizeOfAxis, slice } from '../indexing.js';
import { isGiven, knownNumbers, knownOf, movedElements } from '../known.js';
import { movement, type GradientSite, type Known, type OperatorRows, type Site } from '../operator.js';
import { axisOf, gradientMissing, inputOf, malformed, shapeOf } from '../site.js';
import { scatterRows } from './scatter-rows.js';

interface Range {
  readonly axis: number;
  /** Undefined where only running the graph tells. */
  readonly start?: number;
  readonly step?: number;
  /** Elements taken. */
  readonly size: Dimension;
}

/** The ranges of a Slice; undefined where not even the axes are known. */
function rangesOf(site: Site): Range[] | undefined {
  const shape = shapeOf(site, 0);
  const [starts, ends] = [inputOf(site, 1), inputOf(site, 2)];
  const count = starts.shape?.[0] ?? starts.elements?.length;
  const given = isGiven(site, 3)
    ? knownNumbers(site, 3)
    : typeof count === 'number'
      ? [...Array(count).keys()]
      : undefined;
  if (given === undefined) return undefined;
  const axes = given.map((axis) => axisOf(site.node, axis, shape.length));
  if (new Set(axes).size < axes.length) throw malformed(site.node, `slices an axis twice: [${given.join(', ')}]`);
  const steps = isGiven(site, 4) ? knownNumbers(site, 4) : axes.map(() => 1);
  return axes.map((axis, i): Range => {
    const unknown = { axis, size: unknownSize(site.node.name, `axis${axis}`) };
    const [start, end, step] = [starts.elements?.[i], ends.elements?.[i], steps?.[i]];
    if (start === undefined || end === undefined || step === undefined) return unknown;
    if (step === 0) throw malformed(site.node, `slices axis ${axis} in steps of 0`);
    const size = shape[axis] ?? 1;
    if (typeof start === 'number' && typeof end === 'number' && typeof size === 'number')
      return { axis, step, ...numericRange({ start, end, step }, size) };
    return { axis, step, ...(symbolicRange({ start, end, step }, size) ?? unknown) };
  });
}

/** Starts and ends are clamped as the operator's page says. */
function numericRange(
  { start, end, step }: { start: number; end: number; step: number },
  size: number,
): { start: number; size: number } {
  const clamp = (value: number): number => {
    const fromFront = value < 0 ? value + size : value;
    return step > 0 ? Math.min(Math.max(fromFront, 0), size) : Math.min(Math.max(fromFront, -1), size - 1);
  };
  const from = clamp(start);
  return { start: from, size: Math.max(0, Math.ceil((clamp(end) - from) / step)) };
}

/** Ends from here on mean the end of any axis. */
const endless = 2 ** 31 - 1;

/**
 * Of an axis whose size, start or end is a symbol. A symbol is taken to lie within an axis of known size, as where a model
 * cuts a table of positions to the length of its input; a number is clamped to an axis of unknown size.
 */
function symbolicRange(
  { start, end, step }: { start: Dimension; end: Dimension; step: number },
  size: Dimension,
): { start?: number; size: Dimension } | undefined {
  if (step < 0) {
    const whole = start === -1 && typeof end === 'number' && end <= -endless;
    return whole ? { size: ceilQuotientOf(size, -step) } : undefined;
  }
  const place = (value: Dimension): Dimension => {
    if (typeof value === 'number' && value >= endless) return size;
    if (typeof value === 'number' && value < 0) return sumOf([size, value]);
    return typeof value === 'string' && typeof size === 'number' ? value : smallerOf(value, size);
  };
  const [from, to] = [place(start), place(end)];
  const length = differenceOf(to, from);
  if (typeof length === 'number' && length < 0) return { size: 0 };
  return { ...(typeof from === 'number' && { start: from }), size: ceilQuotientOf(length, step) };
}

function inferSlice(site: Site): Known[] {
  const from = inputOf(site, 0);
  if (from.shape === undefined) return [knownOf(from.dtype, undefined)];
  const ranges = rangesOf(site);
  if (ranges === undefined)
    return [
      knownOf(
        from.dtype,
        from.shape.map((_, axis) => unknownSize(site.node.name, `axis${axis}`)),
      ),
    ];
  const shape = from.shape.map((size, axis) => ranges.find((range) => range.axis === axis)?.size ?? size);
  const source = (place: readonly number[]): number[] =>
    place.map((each, axis) => {
      const range = ranges.find((one) => one.axis === axis);
      return range === undefined ? each : (range.start ?? NaN) + each * (range.step ?? NaN);
    });
  return [knownOf(from.dtype, shape, movedElements(from, shape, source))];
}

/**
 * Zeros around the gradient, and between its elements where the step is above 1; axis by axis, so that a range that is
 * not known can have its own way.
 */
function sliceGradient(site: GradientSite, build: GraphBuilder): string[] {
  const [dy] = site.outputGradients;
  if (dy === undefined) return [];
  const shape = shapeOf(site, 0);
  const ranges = rangesOf(site);
  if (ranges === undefined) throw gradientMissing(site.node, 'slices axes that are not constant');
  const simple = ranges.filter(({ axis, start, step, size }) =>
    [start, step, size, shape[axis]].every((each) => typeof each === 'number'),
  );
  const cut = simple.filter(({ axis, step, size }) => step !== 1 || shape[axis] !== size);
  const rest = ranges.flatMap((range, i) => (simple.includes(range) ? [] : [{ ...range, place: i }]));
  let gradient = padded(spread(dy, cut, build), { ranges: cut, shape }, build);
  for (const range of rest) gradient = scattered(gradient, { ...range, site }, build);
  return [gradient];
}

/** Ranges with a negative step turned around, and zeros put between elements: by a size of its own that is padded to the step. */
function spread(dy: string, ranges: readonly Range[], build: GraphBuilder): string {
  const turned = ranges.filter(({ step = 1 }) => step < 0);
  const whole = (axis: number) => ({ axis, start: -1, end: -(2 ** 31), step: -1 });
  let result =
    turned.length === 0
      ? dy
      : slice(
          dy,
          turned.map(({ axis }) => whole(axis)),
          build,
        );
  for (const { axis, step = 1, size } of ranges) {
    const stride = Math.abs(step);
    if (stride === 1 || Number(size) <= 1) continue;
    const columns = build.add('Unsqueeze', [result, build.ints([axis + 1])]);
    const wide = pad(columns, [0, stride - 1], { axes: [axis + 1], build });
    const joined = joinAxes(wide, { axis, size: Number(size) * stride }, build);
    result = slice(joined, [{ axis, start: 0, end: (Number(size) - 1) * stride + 1 }], build);
  }
  return result;
}

/** An axis and the one behind it as one of this size. */
function joinAxes(value: string, { axis, size }: { axis: number; size: number }, build: GraphBuilder): string {
  const target: Dimension[] = build.shapeOf(value).toSpliced(axis, 2, size);
  const numbers = target.filter((each) => typeof each === 'number');
  if (numbers.length === target.length) return build.add('Reshape', [value, build.ints(numbers)]);
  const own = (start: number, end: number): string[] =>
    start === end ? [] : [build.add('Shape', [value], { start, end })];
  const parts = [...own(0, axis), build.ints([size]), ...own(axis + 2, target.length + 1)];
  return build.add('Reshape', [value, build.add('Concat', parts, { axis: 0 })]);
}

/** Zeros before the first and after the last element taken. */
function padded(
  value: string,
  { ranges, shape }: { ranges: readonly Range[]; shape: readonly Dimension[] },
  build: GraphBuilder,
): string {
  const spans = ranges.map(({ axis, start = 0, step = 1, size }) => {
    const last = Number(size) - 1;
    const [first, span] = [step < 0 ? start + last * step : start, size === 0 ? 0 : last * Math.abs(step) + 1];
    const begin = size === 0 ? 0 : first;
    return { begin, end: Number(shape[axis]) - begin - span };
  });
  if (ranges.length === 0) return value;
  return pad(value, [...spans.map(({ begin }) => begin), ...spans.map(({ end }) => end)], {
    axes: ranges.map(({ axis }) => axis),
    build,
  });
}

/** The places that were taken, as the graph runs: the same slice of the numbers of the axis. */
function scattered(
  rows: string,
  { axis, place, site }: Range & { place: number; site: GradientSite },
  build: GraphBuilder,
): string {
  const [x = '', starts = '', ends = '', , steps = ''] = site.node.inputs;
  const one = (vector: string): string => {
    const own = build.add('Slice', [vector, build.ints([place]), build.ints([place + 1])]);
    return build.typeOf(own).dtype === 'int64' ? own : castTo(own, 'int64', build);
  };
  const size = build.add('Squeeze', [sizeOfAxis(x, axis, build), build.ints([0])]);
  const places = build.add('Range', [int(0, build), size, int(1, build)]);
  const inputs = [places, one(starts), one(ends), build.ints([0])];
  const indices = build.add('Slice', steps === '' ? inputs : [...inputs, one(steps)]);
  return scatterRows({ rows, indices, axis, like: x }, build);
}

export const sliceOperators: OperatorRows = {
  Slice: movement({ infer: inferSlice, gradient: sliceGradient }),
};
