/** Values of an image at places between its pixels: https://onnx.ai/onnx/operators/onnx__GridSample.html */
import { reshapeLike } from '../broadcast.js';
import type { GraphBuilder } from '../graph-builder.js';
import { zerosLike } from '../indexing.js';
import { operator, sizeOf, type GradientSite, type Known, type OperatorRows, type Site } from '../operator.js';
import { fixedSize, inputOf, intOf, malformed, gradientMissing, shapeOf, stringOf } from '../site.js';

function inferGridSample(site: Site): Known[] {
  const [x, grid] = [shapeOf(site, 0), shapeOf(site, 1)];
  if (x.length !== grid.length)
    throw malformed(site.node, `takes an image of rank ${x.length} and a grid of rank ${grid.length}`);
  return [{ dtype: inputOf(site, 0).dtype, shape: [...x.slice(0, 2), ...grid.slice(1, -1)] }];
}

/** One spatial axis of the image, and where the places [N, P] lie on it. */
interface Axis {
  readonly size: number;
  /** Elements from one place of the axis to the next. */
  readonly step: number;
  /** Pixels for each unit of the grid. */
  readonly scale: number;
  readonly place: string;
  /** 1 where the place was inside and moves with the grid; undefined where all do. */
  readonly moves: string | undefined;
}

function axesOf(site: GradientSite, build: GraphBuilder): Axis[] {
  const [, grid = ''] = site.node.inputs;
  const sizes = shapeOf(site, 0)
    .slice(2)
    .map((size) => fixedSize(site, size, 'image size'));
  const rank = sizes.length;
  const places = build.add('Reshape', [grid, build.ints([0, -1, rank])]);
  const columns = build.addMany('Split', [places, build.ints(sizes.map(() => 1))], rank, { axis: 2 });
  const corners = intOf(site.node, 'align_corners', 0) === 1;
  return sizes.map((size, axis): Axis => {
    const scale = (corners ? size - 1 : size) / 2;
    const column = build.add('Squeeze', [columns[rank - 1 - axis] ?? '', build.ints([2])]);
    const scaled = build.add('Mul', [column, build.scalar(scale, column)]);
    const place = build.add('Add', [scaled, build.scalar((size - 1) / 2, column)]);
    const step = sizes.slice(axis + 1).reduce((product, each) => product * each, 1);
    return { size, step, scale, ...bounded(site, { place, size }, build) };
  });
}

function bounded(
  { node }: GradientSite,
  { place, size }: { place: string; size: number },
  build: GraphBuilder,
): Pick<Axis, 'place' | 'moves'> {
  const mode = stringOf(node, 'padding_mode', 'zeros');
  if (mode === 'zeros') return { place, moves: undefined };
  if (mode !== 'border') throw gradientMissing(node, `has padding_mode '${mode}', which has no gradient here`);
  const inside = build.add('Clip', [place, build.scalar(0, place), build.scalar(size - 1, place)]);
  return { place: inside, moves: asNumber(build.add('Equal', [inside, place]), place, build) };
}

const asNumber = (condition: string, like: string, build: GraphBuilder): string =>
  build.add('CastLike', [condition, like]);

/** A pixel beside every place, [N, P]: its index, 0 or 1 for being outside or not, its weight along each axis, and whether it lies behind. */
interface Corner {
  readonly index: string;
  readonly inside: string;
  readonly weights: readonly string[];
  readonly behind: readonly boolean[];
}

function cornersOf(site: GradientSite, axes: readonly Axis[], build: GraphBuilder): Corner[] {
  const mode = stringOf(site.node, 'mode', 'linear');
  if (mode === 'nearest') {
    const pixels = axes.map(({ place }) => build.add('Round', [place]));
    return [cornerAt(axes, { pixels, weights: [], behind: [] }, build)];
  }
  if (mode !== 'linear') throw gradientMissing(site.node, `has mode '${mode}', which has no gradient here`);
  const lower = axes.map(({ place }) => build.add('Floor', [place]));
  const after = axes.map(({ place }, axis) => build.add('Sub', [place, lower[axis] ?? '']));
  const before = after.map((share) => build.add('Sub', [build.scalar(1, share), share]));
  const upper = lower.map((place) => build.add('Add', [place, build.scalar(1, place)]));
  return axes
    .reduce<boolean[][]>((all) => all.flatMap((behind) => [false, true].map((next) => [...behind, next])), [[]])
    .map((behind) => {
      const pixels = behind.map((is, axis) => (is ? upper[axis] : lower[axis]) ?? '');
      const weights = behind.map((is, axis) => (is ? after[axis] : before[axis]) ?? '');
      return cornerAt(axes, { pixels, weights, behind }, build);
    });
}

function cornerAt(
  axes: readonly Axis[],
  { pixels, weights, behind }: { pixels: readonly string[]; weights: readonly string[]; behind: readonly boolean[] },
  build: GraphBuilder,
): Corner {
  const clipped = pixels.map((pixel, axis) =>
    build.add('Clip', [pixel, build.scalar(0, pixel), build.scalar((axes[axis]?.size ?? 1) - 1, pixel)]),
  );
  const inside = pixels.map((pixel, axis) => asNumber(build.add('Equal', [pixel, clipped[axis] ?? '']), pixel, build));
  const steps = clipped.map((pixel, axis) => build.add('Mul', [pixel, build.scalar(axes[axis]?.step ?? 1, pixel)]));
  return {
    index: build.add('Cast', [build.add('Sum', steps)], { to: 7 }),
    inside: product(inside, build),
    weights,
    behind,
  };
}

const product = (values: readonly string[], build: GraphBuilder): string =>
  values.reduce((all, value) => build.add('Mul', [all, value]));

function gridSampleGradient(site: GradientSite, build: GraphBuilder): (string | undefined)[] {
  const [dy] = site.outputGradients;
  if (dy === undefined) return [];
  const axes = axesOf(site, build);
  const corners = cornersOf(site, axes, build);
  const rows = build.add('Reshape', [dy, build.ints([0, 0, -1])]);
  const nearest = stringOf(site.node, 'mode', 'linear') === 'nearest';
  return [
    site.wants(0) ? byImage(site, { rows, corners }, build) : undefined,
    site.wants(1) && !nearest ? byGrid(site, { rows, corners, axes }, build) : undefined,
  ];
}

/** Values [N, P] for every channel, in the shape of `rows` [N, C, P]. */
const forChannels = (value: string, rows: string, build: GraphBuilder): string =>
  build.add('Expand', [build.add('Unsqueeze', [value, build.ints([1])]), build.add('Shape', [rows])]);

/** Every pixel gets its share of what was made from it. */
function byImage(
  { node }: GradientSite,
  { rows, corners }: { rows: string; corners: readonly Corner[] },
  build: GraphBuilder,
): string {
  const [x = ''] = node.inputs;
  const planes = build.add('Reshape', [x, build.ints([0, 0, -1])]);
  const sum = corners.reduce(
    (all, { index, inside, weights }) => {
      const weight = build.add('Unsqueeze', [product([...weights, inside], build), build.ints([1])]);
      const share = build.add('Mul', [rows, weight]);
      const attributes = { axis: 2, reduction: 'add' };
      return build.add('ScatterElements', [all, forChannels(index, rows, build), share], attributes);
    },
    zerosLike(planes, build),
  );
  return reshapeLike(sum, x, build);
}

/** Along an axis the pixel behind counts for, the one before against; the other axes weigh as before. */
function byGrid(
  { node }: GradientSite,
  { rows, corners, axes }: { rows: string; corners: readonly Corner[]; axes: readonly Axis[] },
  build: GraphBuilder,
): string {
  const [x = '', grid = ''] = node.inputs;
  const planes = build.add('Reshape', [x, build.ints([0, 0, -1])]);
  const seen = corners.map(({ index, inside }) => {
    const pixels = build.add('GatherElements', [planes, forChannels(index, rows, build)], { axis: 2 });
    const sum = build.add('ReduceSum', [build.add('Mul', [pixels, rows]), build.ints([1])], { keepdims: 0 });
    return build.add('Mul', [sum, inside]);
  });
  const byAxis = axes.map(({ scale, moves }, axis) => {
    const terms = corners.map(({ weights, behind }, i) => {
      const term = product([...weights.filter((_, other) => other !== axis), seen[i] ?? ''], build);
      return behind[axis] === true ? term : build.add('Neg', [term]);
    });
    const scaled = build.add('Mul', [build.add('Sum', terms), build.scalar(scale, rows)]);
    const moved = moves === undefined ? scaled : build.add('Mul', [scaled, moves]);
    return build.add('Unsqueeze', [moved, build.ints([2])]);
  });
  return reshapeLike(build.add('Concat', byAxis.toReversed(), { axis: 2 }), grid, build);
}

export const gridSampleOperators: OperatorRows = {
  GridSample: operator({
    infer: inferGridSample,
    gradient: gridSampleGradient,
    flops: ({ node }, [y]) => sizeOf(y) * (stringOf(node, 'mode', 'linear') === 'nearest' ? 1 : 8),
  }),
};
