/** For specs: the cases of Resize whose gradients are compared, and its float64 reference, written from the operator's page. */
import type { Node } from '../../graph/graph.js';
import { make, none, pick, type Array64, type Reference } from '../array64.contract.js';
import { constant, ints, type ConstantInput, type GradientCase } from '../central-differences.contract.js';
import { floatOf, intOf, intsOf, stringOf } from '../site.js';

const scales = (...data: number[]): ConstantInput => constant('float32', [data.length], data);

/** A Resize by scales, or by sizes. */
const by = (given: {
  scales?: number[];
  sizes?: number[];
  roi?: number[];
}): NonNullable<GradientCase['constants']> => ({
  1: given.roi === undefined ? 'left out' : scales(...given.roi),
  ...(given.scales === undefined ? { 2: 'left out' as const } : { 2: scales(...given.scales) }),
  ...(given.sizes !== undefined && { 3: ints(...given.sizes) }),
});

const image = [1, 2, 4, 5];
const volume = [1, 2, 3, 4, 2];

const resize = (rest: Omit<GradientCase, 'op' | 'shapes' | 'linear'> & { shape?: readonly number[] }): GradientCase => {
  const { shape = image, ...more } = rest;
  return { op: 'Resize', shapes: [shape], linear: true, ...more };
};

const coordinates = ['half_pixel', 'pytorch_half_pixel', 'align_corners', 'asymmetric', 'half_pixel_symmetric'];

export const resizeCases: readonly GradientCase[] = [
  ...coordinates.flatMap((coordinate_transformation_mode) => [
    resize({
      constants: by({ scales: [1, 1, 2, 2.5] }),
      attributes: { mode: 'linear', coordinate_transformation_mode },
    }),
    resize({ constants: by({ sizes: [1, 2, 3, 9] }), attributes: { mode: 'linear', coordinate_transformation_mode } }),
    resize({ constants: by({ sizes: [1, 2, 7, 3] }), attributes: { mode: 'cubic', coordinate_transformation_mode } }),
    resize({ constants: by({ sizes: [1, 2, 7, 3] }), attributes: { mode: 'nearest', coordinate_transformation_mode } }),
  ]),
  ...['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'].map((nearest_mode) =>
    resize({ constants: by({ scales: [1, 1, 2, 3] }), attributes: { mode: 'nearest', nearest_mode } }),
  ),
  resize({
    constants: by({ scales: [1, 1, 2, 2] }),
    attributes: { coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' },
    symbols: { 0: ['batch', 2, 4, 5] },
  }),
  resize({
    constants: by({ scales: [1, 1, 2, 2] }),
    attributes: { mode: 'linear' },
    symbols: { 0: ['batch', 2, 4, 5] },
  }),
  resize({
    constants: by({ scales: [1, 1, 1, 2] }),
    attributes: { mode: 'linear' },
    symbols: { 0: ['batch', 'channels', 'height', 5] },
  }),
  resize({ constants: by({ sizes: [8, 3] }), attributes: { mode: 'linear', axes: [2, 3] } }),
  resize({
    constants: by({ sizes: [7, 20] }),
    attributes: { mode: 'linear', axes: [2, 3], keep_aspect_ratio_policy: 'not_larger' },
  }),
  resize({
    constants: by({ sizes: [9, 7] }),
    attributes: { mode: 'nearest', axes: [2, 3], keep_aspect_ratio_policy: 'not_smaller' },
  }),
  resize({
    constants: by({ sizes: [1, 2, 3, 4], roi: [0, 0, 0.2, 0.1, 1, 1, 0.9, 0.7] }),
    attributes: { mode: 'linear', coordinate_transformation_mode: 'tf_crop_and_resize' },
  }),
  resize({
    constants: by({ sizes: [1, 2, 6, 7] }),
    attributes: { mode: 'cubic', exclude_outside: 1, cubic_coeff_a: { float: -0.5 } },
  }),
  resize({ shape: volume, constants: by({ sizes: [1, 2, 5, 6, 3] }), attributes: { mode: 'linear' } }),
  resize({ shape: volume, constants: by({ sizes: [1, 2, 6, 4, 4] }), attributes: { mode: 'nearest' } }),
  resize({ shape: [3, 4], constants: by({ scales: [2, 1.5] }), attributes: { mode: 'linear' } }),
];

interface Axis {
  readonly input: number;
  readonly output: number;
  readonly scale: number;
  readonly roi: readonly [number, number];
}

function axesOf(node: Node, [x = none, roi, factors, sizes]: readonly (Array64 | undefined)[]): Axis[] {
  const rank = x.shape.length;
  const axes = intsOf(node, 'axes') ?? [...Array(rank).keys()];
  const policy = stringOf(node, 'keep_aspect_ratio_policy', 'stretch');
  const ratios = axes.map((axis, i) => (sizes?.data[i] ?? 1) / (x.shape[axis] ?? 1));
  const kept = policy === 'not_larger' ? Math.min(...ratios) : Math.max(...ratios);
  return x.shape.map((input, axis) => {
    const i = axes.indexOf(axis);
    const part: [number, number] = [roi?.data[i] ?? 0, roi?.data[i + axes.length] ?? 1];
    if (i < 0) return { input, output: input, scale: 1, roi: part };
    const scale = factors?.data[i] ?? (policy === 'stretch' ? ratios[i] : kept) ?? 1;
    const output = factors === undefined ? Math.round(scale * input) : Math.floor(scale * input);
    return { input, output, scale, roi: part };
  });
}

function original(x: number, { input, output, scale, roi }: Axis, mode: string): number {
  if (scale === 1 && mode !== 'tf_crop_and_resize') return x;
  if (mode === 'asymmetric') return x / scale;
  if (mode === 'align_corners') return output === 1 ? 0 : (x * (input - 1)) / (output - 1);
  if (mode === 'pytorch_half_pixel' && output === 1) return 0;
  if (mode === 'tf_crop_and_resize' && output === 1) return ((roi[0] + roi[1]) / 2) * (input - 1);
  if (mode === 'tf_crop_and_resize') return roi[0] * (input - 1) + (x * (roi[1] - roi[0]) * (input - 1)) / (output - 1);
  const offset = mode === 'half_pixel_symmetric' ? (input / 2) * (1 - output / (scale * input)) : 0;
  return offset + (x + 0.5) / scale - 0.5;
}

/** Weight of the element at distance d. */
function kernel(mode: string, d: number, a: number): number {
  const t = Math.abs(d);
  if (mode === 'linear') return Math.max(0, 1 - t);
  if (t <= 1) return (a + 2) * t ** 3 - (a + 3) * t ** 2 + 1;
  return t < 2 ? a * t ** 3 - 5 * a * t ** 2 + 8 * a * t - 4 * a : 0;
}

const rounding: Readonly<Record<string, (x: number) => number>> = {
  floor: Math.floor,
  ceil: Math.ceil,
  round_prefer_ceil: Math.round,
  round_prefer_floor: (x) => -Math.round(-x),
};

/** Places and weights along one axis. */
function taps(node: Node, axis: Axis, place: number): [number, number][] {
  const mode = stringOf(node, 'mode', 'nearest');
  const x = original(place, axis, stringOf(node, 'coordinate_transformation_mode', 'half_pixel'));
  const inside = (at: number): number => Math.min(Math.max(at, 0), axis.input - 1);
  if (mode === 'nearest') {
    const round = rounding[stringOf(node, 'nearest_mode', 'round_prefer_floor')] ?? Math.round;
    return [[inside(round(x)), 1]];
  }
  const all = [-1, 0, 1, 2].map((step): [number, number] => {
    const at = Math.floor(x) + step;
    return [at, kernel(mode, x - at, floatOf(node, 'cubic_coeff_a', -0.75))];
  });
  if (intOf(node, 'exclude_outside', 0) === 0) return all.map(([at, weight]) => [inside(at), weight]);
  const kept = all.filter(([at]) => at === inside(at));
  const total = kept.reduce((sum, [, weight]) => sum + weight, 0);
  return kept.map(([at, weight]) => [at, weight / total]);
}

/** One axis after the other. */
const resizeReference: Reference = (node, inputs) => {
  const [x = none] = inputs;
  return axesOf(node, inputs).reduce((value, axis, i) => {
    const places = Array.from({ length: axis.output }, (_, place) => taps(node, axis, place));
    return make(value.shape.with(i, axis.output), (place) =>
      (places[place[i] ?? 0] ?? []).reduce((sum, [at, weight]) => sum + weight * pick(value, place.with(i, at)), 0),
    );
  }, x);
};

export const resizeReferences: Readonly<Record<string, Reference>> = { Resize: resizeReference };
