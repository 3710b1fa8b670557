/** For specs: the cases of convolutions whose gradients are compared, and their float64 references. */
import type { Node } from '../graph/graph.js';
import { at, none, size, type Array64, type Run } from './array64.contract.js';
import { type GradientCase } from './central-differences.contract.js';
import { intOf, intsOf, stringOf } from './site.js';

const image = [1, 4, 4, 5];
const line = [2, 3, 9];
const volume = [1, 2, 3, 4, 3];

const convolutions: readonly GradientCase[] = [
  { op: 'Conv', shapes: [image, [3, 4, 3, 3], [3]], attributes: { pads: [1, 1, 1, 1] } },
  { op: 'Conv', shapes: [image, [3, 4, 1, 1], [3]] },
  {
    op: 'Conv',
    shapes: [
      [1, 2, 9, 9],
      [3, 2, 1, 1],
    ],
  },
  { op: 'Conv', shapes: [image, [3, 4, 3, 2]], attributes: { strides: [2, 1], pads: [1, 0, 0, 1] } },
  { op: 'Conv', shapes: [image, [2, 4, 2, 2]], attributes: { dilations: [2, 1] } },
  { op: 'Conv', shapes: [image, [2, 4, 2, 2]], attributes: { strides: [2, 2], dilations: [1, 2], pads: [2, 2, 2, 2] } },
  { op: 'Conv', shapes: [image, [3, 4, 1, 1]], attributes: { strides: [2, 2] } },
  {
    op: 'Conv',
    shapes: [
      [1, 2, 8, 7],
      [3, 2, 1, 1],
    ],
    attributes: { strides: [3, 2] },
  },
  { op: 'Conv', shapes: [image, [3, 4, 1, 1]], attributes: { pads: [0, 1, 0, 0], strides: [2, 1] } },
  { op: 'Conv', shapes: [image, [4, 1, 3, 3], [4]], attributes: { pads: [1, 1, 1, 1], group: 4 } },
  { op: 'Conv', shapes: [image, [4, 1, 5, 5]], attributes: { pads: [2, 2, 2, 2], strides: [2, 1], group: 4 } },
  { op: 'Conv', shapes: [image, [6, 2, 3, 3], [6]], attributes: { pads: [1, 1, 1, 1], group: 2 } },
  { op: 'Conv', shapes: [image, [8, 1, 2, 3]], attributes: { strides: [1, 2], group: 4 } },
  {
    op: 'Conv',
    shapes: [
      [1, 2, 6, 6],
      [2, 2, 5, 5],
    ],
    attributes: { strides: [2, 2], pads: [2, 2, 2, 2] },
    note: 'thin and of many taps',
  },
  {
    op: 'Conv',
    shapes: [
      [1, 2, 6, 6],
      [2, 2, 5, 5],
    ],
    attributes: { strides: [2, 2] },
    note: 'that leaves the last pixels out',
  },
  {
    op: 'Conv',
    shapes: [
      [1, 5, 5, 5],
      [2, 5, 3, 3],
    ],
    attributes: { strides: [1, 1], pads: [0, 2, 1, 1] },
  },
  {
    op: 'Conv',
    shapes: [
      [1, 129, 3, 3],
      [1, 129, 2, 2],
    ],
    note: 'of many channels',
  },
  {
    op: 'Conv',
    shapes: [
      [1, 32, 2, 1],
      [32, 32, 2, 1],
    ],
    attributes: { pads: [1, 0, 0, 0] },
    note: 'of many filters',
  },
  ...['SAME_UPPER', 'SAME_LOWER', 'VALID'].map((auto_pad) => ({
    op: 'Conv',
    shapes: [image, [3, 4, 3, 2]],
    attributes: { auto_pad, strides: [2, 2] },
  })),
  ...[
    {},
    { pads: [2, 1], strides: [2] },
    { dilations: [3], pads: [0, 1] },
    { auto_pad: 'SAME_UPPER', strides: [2] },
  ].map((attributes) => ({ op: 'Conv', shapes: [line, [4, 3, 3], [4]], attributes })),
  { op: 'Conv', shapes: [line, [2, 3, 1], [2]] },
  { op: 'Conv', shapes: [line, [3, 1, 2]], attributes: { group: 3, strides: [2] } },
  { op: 'Conv', shapes: [line, [6, 1, 3]], attributes: { group: 3, dilations: [2] } },
  { op: 'Conv', shapes: [volume, [3, 2, 2, 2, 2], [3]], attributes: { pads: [1, 0, 0, 0, 1, 1], strides: [1, 2, 1] } },
  { op: 'Conv', shapes: [volume, [3, 2, 1, 1, 1]] },
  { op: 'Conv', shapes: [volume, [2, 1, 2, 3, 2]], attributes: { group: 2, dilations: [2, 1, 1] } },
  { op: 'Conv', shapes: [volume, [4, 2, 3, 3, 3]], attributes: { pads: [1, 1, 1, 1, 1, 1] } },
];

const transposed: readonly GradientCase[] = [
  { op: 'ConvTranspose', shapes: [image, [4, 2, 3, 3], [2]] },
  { op: 'ConvTranspose', shapes: [image, [4, 2, 3, 3]], attributes: { strides: [2, 3], pads: [1, 0, 2, 1] } },
  { op: 'ConvTranspose', shapes: [image, [4, 1, 2, 2]], attributes: { group: 2, dilations: [2, 1], strides: [1, 2] } },
  {
    op: 'ConvTranspose',
    shapes: [image, [4, 1, 3, 3], [4]],
    attributes: { group: 4, strides: [2, 2], pads: [1, 1, 1, 1] },
  },
  {
    op: 'ConvTranspose',
    shapes: [image, [4, 2, 3, 3]],
    attributes: { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1] },
  },
  { op: 'ConvTranspose', shapes: [image, [4, 2, 3, 3]], attributes: { strides: [2, 2], output_shape: [7, 10] } },
  ...['SAME_UPPER', 'SAME_LOWER', 'VALID'].map((auto_pad) => ({
    op: 'ConvTranspose',
    shapes: [image, [4, 2, 3, 4]],
    attributes: { auto_pad, strides: [2, 2] },
  })),
  {
    op: 'ConvTranspose',
    shapes: [line, [3, 2, 4], [2]],
    attributes: { strides: [3], pads: [1, 2], output_padding: [1] },
  },
  { op: 'ConvTranspose', shapes: [line, [3, 2, 1]], attributes: { strides: [2] } },
  {
    op: 'ConvTranspose',
    shapes: [volume, [2, 3, 2, 2, 2], [3]],
    attributes: { strides: [1, 2, 1], pads: [0, 1, 0, 0, 0, 1] },
  },
];

export const convCases: readonly GradientCase[] = [...convolutions, ...transposed];

export interface Geometry {
  readonly kernel: readonly number[];
  readonly output: readonly number[];
  /** Input place of a tap at a position. */
  readonly place: (position: readonly number[], tap: readonly number[]) => number[];
}

export function geometry(node: Node, spatial: readonly number[], kernel: readonly number[]): Geometry {
  const [strides, dilations, pads] = ['strides', 'dilations', 'pads'].map((name) => intsOf(node, name));
  const mode = stringOf(node, 'auto_pad', 'NOTSET');
  const axes = spatial.map((each, i) => {
    const [stride, dilation] = [strides?.[i] ?? 1, dilations?.[i] ?? 1];
    const extent = dilation * ((kernel[i] ?? 1) - 1) + 1;
    const [begin, end] = [pads?.[i] ?? 0, pads?.[i + spatial.length] ?? 0];
    if (!mode.startsWith('SAME')) {
      return { stride, dilation, begin, output: Math.floor((each + begin + end - extent) / stride) + 1 };
    }
    const output = Math.ceil(each / stride);
    const total = Math.max(0, (output - 1) * stride + extent - each);
    return { stride, dilation, begin: mode === 'SAME_UPPER' ? total >> 1 : total - (total >> 1), output };
  });
  const place = (position: readonly number[], tap: readonly number[]): number[] =>
    axes.map(({ stride, dilation, begin }, i) => (position[i] ?? 0) * stride + (tap[i] ?? 0) * dilation - begin);
  return { kernel, output: axes.map(({ output }) => output), place };
}

/** The place in row-major order, -1 outside. */
function flatPlace(place: readonly number[], shape: readonly number[]): number {
  if (place.some((each, axis) => each < 0 || each >= (shape[axis] ?? 0))) return -1;
  return place.reduce((index, each, axis) => index * (shape[axis] ?? 1) + each, 0);
}

/** For each position and tap the place of the plane that is seen, worked out once: the sums below run many times. */
function placesSeen({ kernel, output, place }: Geometry, spatial: readonly number[]): number[][] {
  const all = (shape: readonly number[]): number[][] => Array.from({ length: size(shape) }, (_, i) => at(i, shape));
  return all(output).map((position) => all(kernel).map((tap) => flatPlace(place(position, tap), spatial)));
}

function conv(node: Node, [x = none, w = none, bias]: readonly (Array64 | undefined)[]): Array64 {
  const spatial = x.shape.slice(2);
  const window = geometry(node, spatial, w.shape.slice(2));
  const seen = placesSeen(window, spatial);
  const [batch = 1, channels = 1] = x.shape;
  const [filters = 1, perGroup = 1] = w.shape;
  const perFilter = filters / intOf(node, 'group', 1);
  const [plane, taps] = [size(spatial), size(window.kernel)];
  const data: number[] = [];
  for (let n = 0; n < batch; n++) {
    for (let o = 0; o < filters; o++) {
      const first = n * channels + Math.floor(o / perFilter) * perGroup;
      for (const places of seen) {
        let total = bias?.data[o] ?? 0;
        for (let c = 0; c < perGroup; c++) {
          for (const [tap, place] of places.entries()) {
            if (place < 0) continue;
            total += (w.data[(o * perGroup + c) * taps + tap] ?? NaN) * (x.data[(first + c) * plane + place] ?? NaN);
          }
        }
        data.push(total);
      }
    }
  }
  return { shape: [batch, filters, ...window.output], data };
}

/** Each input element adds its kernel to the output, as the page's first sentence says; pads by the page's formulas. */
function convTranspose(node: Node, [x = none, w = none, bias]: readonly (Array64 | undefined)[]): Array64 {
  const [batch = 1, channels = 1, ...spatial] = x.shape;
  const [, perGroup = 1, ...kernel] = w.shape;
  const group = intOf(node, 'group', 1);
  const value = (name: string, i: number, otherwise: number): number => intsOf(node, name)?.[i] ?? otherwise;
  const mode = stringOf(node, 'auto_pad', 'NOTSET');
  const axes = spatial.map((each, i) => {
    const [stride, dilation] = [value('strides', i, 1), value('dilations', i, 1)];
    const all = stride * (each - 1) + value('output_padding', i, 0) + ((kernel[i] ?? 1) - 1) * dilation + 1;
    const shape = intsOf(node, 'output_shape')?.[i] ?? (mode.startsWith('SAME') ? each * stride : undefined);
    if (shape === undefined) {
      const begin = value('pads', i, 0);
      return { stride, dilation, begin, output: all - begin - value('pads', i + spatial.length, 0) };
    }
    const total = Math.max(0, all - shape);
    return { stride, dilation, begin: mode === 'SAME_UPPER' ? total >> 1 : total - (total >> 1), output: shape };
  });
  const shape = [batch, perGroup * group, ...axes.map(({ output }) => output)];
  const grown = shape.slice(2);
  const place = (position: readonly number[], tap: readonly number[]): number[] =>
    axes.map(({ stride, dilation, begin }, k) => (position[k] ?? 0) * stride + (tap[k] ?? 0) * dilation - begin);
  const reached = placesSeen({ kernel, output: spatial, place }, grown);
  const [plane, taps, positions] = [size(grown), size(kernel), size(spatial)];
  const y = Array.from({ length: size(shape) }, (_, i) => bias?.data[Math.floor(i / plane) % (perGroup * group)] ?? 0);
  for (const [i, value] of x.data.entries()) {
    const c = Math.floor(i / positions) % channels;
    const n = Math.floor(i / (positions * channels));
    const first = n * perGroup * group + Math.floor(c / (channels / group)) * perGroup;
    for (const [tap, target] of (reached[i % positions] ?? []).entries()) {
      if (target < 0) continue;
      for (let o = 0; o < perGroup; o++) {
        const index = (first + o) * plane + target;
        y[index] = (y[index] ?? 0) + value * (w.data[(c * perGroup + o) * taps + tap] ?? NaN);
      }
    }
  }
  return { shape, data: y };
}

/** Of one result each. */
export const convReferences: Readonly<Record<string, Run>> = { Conv: conv, ConvTranspose: convTranspose };
