/** For specs: the cases of convolutions whose gradients are compared, and their float64 references. */
import { at, make, none, pick, pickInside, size, sum, type Array64, type Run } from './array64.contract.js';
import { type GradientCase } from './central-differences.contract.js';
import { intOf, intsOf } from './site.js';

const image = [1, 4, 4, 5];

export const convCases: readonly GradientCase[] = [
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
  { op: 'Conv', shapes: [image, [4, 1, 3, 3], [4]], attributes: { pads: [1, 1, 1, 1], group: 4 } },
  { op: 'Conv', shapes: [image, [4, 1, 5, 5]], attributes: { pads: [2, 2, 2, 2], strides: [2, 1], group: 4 } },
  { op: 'Conv', shapes: [image, [6, 2, 3, 3], [6]], attributes: { pads: [1, 1, 1, 1], group: 2 } },
  { op: 'Conv', shapes: [image, [8, 1, 2, 3]], attributes: { strides: [1, 2], group: 4 } },
];

export interface Geometry {
  readonly kernel: readonly number[];
  readonly output: readonly number[];
  /** Input place of a tap at a position. */
  readonly place: (position: readonly number[], tap: readonly number[]) => number[];
}

export function geometry(node: Node, spatial: readonly number[], kernel: readonly number[]): Geometry {
  const [strides = [1, 1], dilations = [1, 1], pads = [0, 0, 0, 0]] = [
    intsOf(node, 'strides'),
    intsOf(node, 'dilations'),
    intsOf(node, 'pads'),
  ];
  const output = spatial.map((each, i) => {
    const extent = (dilations[i] ?? 1) * ((kernel[i] ?? 1) - 1) + 1;
    return Math.floor((each + (pads[i] ?? 0) + (pads[i + 2] ?? 0) - extent) / (strides[i] ?? 1)) + 1;
  });
  const place = (position: readonly number[], tap: readonly number[]): number[] =>
    position.map((each, i) => each * (strides[i] ?? 1) + (tap[i] ?? 0) * (dilations[i] ?? 1) - (pads[i] ?? 0));
  return { kernel, output, place };
}

function conv(node: Node, [x = none, w = none, bias]: readonly (Array64 | undefined)[]): Array64 {
  const { kernel, output, place } = geometry(node, x.shape.slice(2), w.shape.slice(2));
  const [filters = 1, perGroup = 1] = w.shape;
  const perFilter = filters / intOf(node, 'group', 1);
  return make([x.shape[0] ?? 1, filters, ...output], ([n = 0, o = 0, ...position]) => {
    const first = Math.floor(o / perFilter) * perGroup;
    const taps = [perGroup, ...kernel];
    const terms = Array.from({ length: size(taps) }, (_, i) => {
      const [c = 0, ...tap] = at(i, taps);
      return pick(w, [o, c, ...tap]) * pickInside(x, [n, first + c, ...place(position, tap)]);
    });
    return sum(terms) + (bias?.data[o] ?? 0);
  });
}

/** Of one result each. */
export const convReferences: Readonly<Record<string, Run>> = { Conv: conv };
