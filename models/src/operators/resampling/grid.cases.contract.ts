/** For specs: the cases of GridSample, AffineGrid and Col2Im whose gradients are compared, and their float64 references. */
import { at, make, none, pick, pickInside, size, sum, type References } from '../array64.contract.js';
import { ints, type GradientCase } from '../central-differences.contract.js';
import { intOf, intsOf, stringOf } from '../site.js';

const image = [2, 3, 4, 5];
const grid = [2, 3, 2, 2];

/** Places inside and outside of the image. */
const wide = { 1: [-1.4, 1.37] as const };

export const gridCases: readonly GradientCase[] = [
  ...['zeros', 'border'].flatMap((padding_mode) =>
    [0, 1].map((align_corners) => ({
      op: 'GridSample',
      shapes: [image, grid],
      ranges: wide,
      attributes: { padding_mode, align_corners },
    })),
  ),
  { op: 'GridSample', shapes: [image, grid], frozen: [1], attributes: { mode: 'nearest' }, linear: true },
  {
    op: 'GridSample',
    shapes: [
      [1, 2, 3, 4, 3],
      [1, 2, 3, 2, 3],
    ],
    ranges: wide,
    attributes: { align_corners: 1 },
  },
  {
    op: 'GridSample',
    shapes: [image, grid],
    ranges: wide,
    symbols: { 0: ['batch', 'channels', 4, 5], 1: ['batch', 'rows', 2, 2] },
  },
  ...[0, 1].map((align_corners) => ({
    op: 'AffineGrid',
    shapes: [[2, 2, 3], []],
    constants: { 1: ints(2, 3, 4, 5) },
    attributes: { align_corners },
    linear: true,
  })),
  { op: 'AffineGrid', shapes: [[1, 3, 4], []], constants: { 1: ints(1, 1, 2, 3, 4) }, linear: true },
  { op: 'Col2Im', shapes: [[1, 8, 12], [], []], constants: { 1: ints(5, 4), 2: ints(2, 2) }, linear: true },
  {
    op: 'Col2Im',
    shapes: [[2, 6, 4], [], []],
    constants: { 1: ints(5, 5), 2: ints(2, 3) },
    attributes: { strides: [3, 2], pads: [0, 1, 1, 0], dilations: [2, 1] },
    linear: true,
  },
  {
    op: 'Col2Im',
    shapes: [[1, 4, 9], [], []],
    constants: { 1: ints(5, 5), 2: ints(2, 2) },
    attributes: { dilations: [2, 2] },
    linear: true,
  },
];

export const gridReferences: References = {
  GridSample: (node, [x = none, places = none]) => {
    const sizes = x.shape.slice(2);
    const corners = intOf(node, 'align_corners', 0) === 1;
    return make([...x.shape.slice(0, 2), ...places.shape.slice(1, -1)], ([n = 0, c = 0, ...position]) => {
      const place = sizes.map((each, axis) => {
        const unit = pick(places, [n, ...position, sizes.length - 1 - axis]);
        const pixel = corners ? ((unit + 1) / 2) * (each - 1) : ((unit + 1) * each - 1) / 2;
        return stringOf(node, 'padding_mode', 'zeros') === 'border' ? Math.min(Math.max(pixel, 0), each - 1) : pixel;
      });
      if (stringOf(node, 'mode', 'linear') === 'nearest') return pickInside(x, [n, c, ...place.map(Math.round)]);
      const count = 2 ** sizes.length;
      return sum(
        Array.from({ length: count }, (_, corner) => {
          const behind = sizes.map((__, axis) => (corner >> axis) & 1);
          const pixel = place.map((each, axis) => Math.floor(each) + (behind[axis] ?? 0));
          const weight = place.reduce((all, each, axis) => all * (1 - Math.abs(each - (pixel[axis] ?? 0))), 1);
          return weight * pickInside(x, [n, c, ...pixel]);
        }),
      );
    });
  },
  AffineGrid: (node, [matrix = none, shape = none]) => {
    const [batch = 1, , ...sizes] = shape.data;
    const corners = intOf(node, 'align_corners', 0) === 1;
    return make([batch, ...sizes, sizes.length], ([n = 0, ...rest]) => {
      const row = rest.at(-1) ?? 0;
      const units = sizes.map((each, axis) => {
        const pixel = rest[axis] ?? 0;
        return corners ? (2 * pixel) / (each - 1) - 1 : (2 * pixel + 1) / each - 1;
      });
      return sum([...units.toReversed(), 1].map((unit, i) => unit * pick(matrix, [n, row, i])));
    });
  },
  Col2Im: (node, [x = none, shape = none, block = none]) => {
    const [sizes, kernel] = [shape.data, block.data];
    const ones = sizes.map(() => 1);
    const [strides, dilations] = [intsOf(node, 'strides') ?? ones, intsOf(node, 'dilations') ?? ones];
    const pads = intsOf(node, 'pads') ?? [...ones, ...ones].map(() => 0);
    const counts = sizes.map((each, i) => {
      const extent = (dilations[i] ?? 1) * ((kernel[i] ?? 1) - 1) + 1;
      return Math.floor((each + (pads[i] ?? 0) + (pads[i + sizes.length] ?? 0) - extent) / (strides[i] ?? 1)) + 1;
    });
    const taps = size(kernel);
    const [batch = 1, columns = 1] = x.shape;
    return make([batch, columns / taps, ...sizes], ([n = 0, c = 0, ...pixel]) =>
      sum(
        Array.from({ length: taps * size(counts) }, (_, i) => {
          const [tap, position] = [Math.floor(i / size(counts)), i % size(counts)];
          const [offset, start] = [at(tap, kernel), at(position, counts)];
          const hits = pixel.every(
            (each, axis) =>
              each ===
              (start[axis] ?? 0) * (strides[axis] ?? 1) +
                (offset[axis] ?? 0) * (dilations[axis] ?? 1) -
                (pads[axis] ?? 0),
          );
          return hits ? pick(x, [n, c * taps + tap, position]) : 0;
        }),
      ),
    );
  },
};
