/** Borders added to tensors, or cut off: https://onnx.ai/onnx/operators/onnx__Pad.html */
import { reshapeLike } from '../broadcast.js';
import { sumOf, unknownSize } from '../dimension.js';
import type { GraphBuilder } from '../graph-builder.js';
import { int, pad, range, sizeOfAxis } from '../indexing.js';
import { isGiven, knownNumbers, knownOf, movedElements } from '../known.js';
import { movement, type GradientSite, type Known, type OperatorRows, type Site } from '../operator.js';
import { axisOf, inputOf, malformed, shapeOf, stringOf } from '../site.js';
import { scatterRows } from './scatter-rows.js';

const isConstant = ({ node }: Site): boolean => stringOf(node, 'mode', 'constant') === 'constant';

/** Undefined where the axes are not known. */
function axesOf(site: Site): readonly number[] | undefined {
  const rank = shapeOf(site, 0).length;
  const axes = isGiven(site, 3) ? knownNumbers(site, 3) : range(0, rank);
  return axes?.map((axis) => axisOf(site.node, axis, rank));
}

function inferPad(site: Site): Known[] {
  const from = inputOf(site, 0);
  if (from.shape === undefined) return [knownOf(from.dtype, undefined)];
  const axes = axesOf(site);
  const { elements: amounts } = inputOf(site, 1);
  const shape = from.shape.map((size, axis) => {
    const index = axes?.indexOf(axis);
    if (index === -1) return size;
    const [begin, end] = [amounts?.[index ?? 0], amounts?.[(index ?? 0) + (axes?.length ?? 0)]];
    const known = index !== undefined && begin !== undefined && end !== undefined;
    const padded = known ? sumOf([size, begin, end]) : unknownSize(site.node.name, `axis${axis}`);
    if (typeof padded === 'number' && !(padded >= 0 && Number.isSafeInteger(padded)))
      throw malformed(site.node, `pads axis ${axis} of size ${size} by ${begin ?? '?'} and ${end ?? '?'}`);
    return padded;
  });
  return [knownOf(from.dtype, shape, paddedElements(site, { axes, shape }))];
}

/** Numbers are followed where nothing but the numbers themselves is left: padding of shapes adds constants too. */
function paddedElements(
  site: Site,
  { axes, shape }: { axes: readonly number[] | undefined; shape: readonly (number | string)[] },
): Known['elements'] {
  const [from, amounts] = [inputOf(site, 0), knownNumbers(site, 1)];
  const [filler] = isGiven(site, 2) ? (inputOf(site, 2).elements ?? []) : [0];
  if (!isConstant(site) || from.shape?.length !== 1 || axes === undefined || filler === undefined) return undefined;
  const [begin] = amounts ?? [];
  if (begin === undefined || from.elements === undefined) return undefined;
  const size = from.elements.length;
  const padded = { ...knownOf(from.dtype, [size + 1]), elements: [...from.elements, filler] };
  const source = ([place = 0]: readonly number[]): number[] => {
    const own = place - begin;
    return [own >= 0 && own < size ? own : size];
  };
  return movedElements(padded, shape, source);
}

function cutAsRun(value: string, { amounts, axes }: { amounts: string; axes: string }, build: GraphBuilder): string {
  const inputs = [value, build.add('Neg', [amounts]), build.scalar(0, value)];
  return build.add('Pad', axes === '' ? inputs : [...inputs, axes]);
}

/** Borders of constants are cut off again, and the constant gets the sum of what was cut. */
function constantGradient(site: GradientSite, dy: string, build: GraphBuilder): (string | undefined)[] {
  const [, amounts = '', value = '', axes = ''] = site.node.inputs;
  const known = knownNumbers(site, 1);
  const named = axesOf(site);
  const inner =
    known && named
      ? pad(
          dy,
          known.map((amount) => -amount),
          { axes: named, build },
        )
      : cutAsRun(dy, { amounts, axes }, build);
  const byValue = (): string => {
    const total = (of: string): string => build.add('ReduceSum', [of], { keepdims: 0 });
    return reshapeLike(build.add('Sub', [total(dy), total(inner)]), value, build);
  };
  return [site.wants(0) ? inner : undefined, undefined, value !== '' && site.wants(2) ? byValue() : undefined];
}

/** Each axis shows some of its rows again: which ones, the same Pad of their numbers tells. */
function repeatedGradient(site: GradientSite, dy: string, build: GraphBuilder): (string | undefined)[] {
  const [x = '', amounts = ''] = site.node.inputs;
  const known = knownNumbers(site, 1);
  const axes = axesOf(site) ?? [];
  let gradient = dy;
  for (const [i, axis] of axes.entries()) {
    const [begin, end] = [i, i + axes.length];
    if (known?.[begin] === 0 && known[end] === 0) continue;
    const size = build.add('Squeeze', [sizeOfAxis(x, axis, build), build.ints([0])]);
    const rows = build.add('Range', [int(0, build), size, int(1, build)]);
    const own = build.add('Gather', [amounts, build.ints([begin, end])]);
    const indices = build.add('Pad', [rows, own], { mode: stringOf(site.node, 'mode', 'constant') });
    gradient = scatterRows({ rows: gradient, indices, axis, like: x }, build);
  }
  return [gradient];
}

export const padOperators: OperatorRows = {
  Pad: movement({
    infer: inferPad,
    gradient: (site, build) => {
      const [dy] = site.outputGradients;
      if (dy === undefined) return [];
      return isConstant(site) ? constantGradient(site, dy, build) : repeatedGradient(site, dy, build);
    },
  }),
};
