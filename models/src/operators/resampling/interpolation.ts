/**
 * What each output place of a resized axis takes of the input places: https://onnx.ai/onnx/operators/onnx__Resize.html
 * Resizing is linear in its input, so these shares are also its gradient.
 */

export const coordinateModes = [
  'half_pixel',
  'half_pixel_symmetric',
  'pytorch_half_pixel',
  'align_corners',
  'asymmetric',
  'tf_crop_and_resize',
] as const;
export type CoordinateMode = (typeof coordinateModes)[number];

export const nearestModes = ['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'] as const;
export const interpolationModes = ['nearest', 'linear', 'cubic'] as const;

export interface ResizedAxis {
  readonly axis: number;
  readonly input: number;
  readonly output: number;
  readonly scale: number;
  /** Begin and end of the part that tf_crop_and_resize takes, as shares of the axis. */
  readonly roi: readonly [number, number];
}

export interface Interpolation {
  readonly mode: (typeof interpolationModes)[number];
  readonly coordinates: CoordinateMode;
  readonly nearest: (typeof nearestModes)[number];
  readonly cubicA: number;
  readonly excludeOutside: boolean;
}

interface Share {
  readonly place: number;
  readonly weight: number;
}

/** Where an output place lies between the input places. */
function coordinateOf(x: number, { input, output, scale, roi }: ResizedAxis, mode: CoordinateMode): number {
  const halfPixel = (x + 0.5) / scale - 0.5;
  switch (mode) {
    case 'asymmetric':
      return x / scale;
    case 'align_corners':
      return output === 1 ? 0 : (x * (input - 1)) / (output - 1);
    case 'pytorch_half_pixel':
      return output > 1 ? halfPixel : 0;
    case 'half_pixel_symmetric':
      return (input / 2) * (1 - output / (scale * input)) + halfPixel;
    case 'tf_crop_and_resize':
      return output > 1
        ? (roi[0] + (x * (roi[1] - roi[0])) / (output - 1)) * (input - 1)
        : 0.5 * (roi[0] + roi[1]) * (input - 1);
    default:
      return halfPixel;
  }
}

const roundings = {
  floor: Math.floor,
  ceil: Math.ceil,
  round_prefer_ceil: (x: number) => Math.floor(x + 0.5),
  round_prefer_floor: (x: number) => Math.ceil(x - 0.5),
} as const;

/** Keys, Cubic Convolution Interpolation for Digital Image Processing (1981), equation 4, at distances 1 + t, t, 1 - t, 2 - t. */
function cubicWeights(t: number, a: number): number[] {
  const near = (d: number): number => ((a + 2) * d - (a + 3)) * d * d + 1;
  const far = (d: number): number => ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  return [far(1 + t), near(t), near(1 - t), far(2 - t)];
}

function sharesAt(x: number, input: number, how: Interpolation): Share[] {
  const inside = (place: number): number => Math.min(Math.max(place, 0), input - 1);
  if (how.mode === 'nearest') return [{ place: inside(roundings[how.nearest](x)), weight: 1 }];
  if (how.mode === 'linear') {
    const clamped = inside(x);
    const place = Math.floor(clamped);
    const share = clamped - place;
    return [
      { place, weight: 1 - share },
      { place: inside(place + 1), weight: share },
    ];
  }
  const first = Math.floor(x) - 1;
  const weights = cubicWeights(x - Math.floor(x), how.cubicA).map((weight, i) => ({ place: first + i, weight }));
  if (!how.excludeOutside) return weights.map(({ place, weight }) => ({ place: inside(place), weight }));
  const kept = weights.filter(({ place }) => place >= 0 && place < input);
  const total = kept.reduce((sum, { weight }) => sum + weight, 0);
  return kept.map(({ place, weight }) => ({ place, weight: weight / total }));
}

/** The shares of the input places in each output place, [output, input] in row-major order. */
export function interpolationMatrix(axis: ResizedAxis, how: Interpolation): Float64Array {
  const { input, output } = axis;
  const matrix = new Float64Array(output * input);
  for (let row = 0; row < output; row++) {
    const x = coordinateOf(row, axis, how.coordinates);
    // Outside of what tf_crop_and_resize can see a constant is taken.
    if (how.coordinates === 'tf_crop_and_resize' && (x < 0 || x > input - 1)) continue;
    for (const { place, weight } of sharesAt(x, input, how)) {
      const at = row * input + place;
      matrix[at] = (matrix[at] ?? 0) + weight;
    }
  }
  return matrix;
}

/** How many outputs in a row repeat each input, where the axis does nothing else; else undefined. */
export function repetitionsOf({ input, output }: ResizedAxis, matrix: Float64Array): number | undefined {
  const count = output / input;
  if (!Number.isInteger(count)) return undefined;
  for (let row = 0; row < output; row++) {
    if (matrix[row * input + Math.floor(row / count)] !== 1) return undefined;
  }
  return count;
}
