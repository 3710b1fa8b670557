/**
 * Seeded masks, the same bits on every runtime. They are made in the graph from one scalar, so that nothing but the seed is fed, and by
 * float32 arithmetic on whole numbers below 2^24, which is exact everywhere whatever the order: integer and bit operators are not, since
 * runtimes differ in the types that they have for them. No matrix products: graphics processors round theirs.
 *
 * Each row (axis 0 and all axes of unknown size) and each column (the rest) is hashed with the seed by a Feistel network over two halves of
 * 12 bits, whose round function is the middle of a square (von Neumann 1951; Luby and Rackoff 1988). An element then is kept where
 * frac(r c + a + b) >= rate, with a, r of its row and b, c of its column: one product an element instead of a whole hash.
 */
import { GraftError } from '@graft/core/error';
import { elementCount, tensor } from '@graft/core/tensor';

import { castTo } from '../../operators/broadcast.js';
import type { GraphBuilder } from '../../operators/graph-builder.js';

const half = 4096;
const rounds = 6;
/** Rates are multiples of 1 / 4096. */
const levels = 4096;

/** The rate that masks have: the nearest multiple of 1 / 4096. */
export function exactRate(rate: number): number {
  return Math.round(rate * levels) / levels;
}

/** Two halves of 12 bits, each a whole number as float32. */
interface Halves {
  readonly high: string;
  readonly low: string;
}

/** x mod 4096 of whole numbers in [0, 2^24). */
function folded(x: string, build: GraphBuilder): string {
  const quotient = build.add('Floor', [build.add('Mul', [x, build.scalar(1 / half, x)])]);
  return build.add('Sub', [x, build.add('Mul', [quotient, build.scalar(half, x)])]);
}

/** Middle bits of a square: floor(x^2 / 64), below 2^18. */
function middle(x: string, build: GraphBuilder): string {
  return build.add('Floor', [build.add('Mul', [build.add('Mul', [x, x]), build.scalar(1 / 64, x)])]);
}

/** Each round adds a key to one half, and the middle of its square to the other, and changes sides. */
function hashed(counter: Halves, seed: Halves, { salt, build }: { salt: number; build: GraphBuilder }): Halves {
  let { high, low } = counter;
  for (let round = 0; round < rounds; round++) {
    const constant = build.scalar((salt * 2053 + round * 1597 + 911) % half, seed.low);
    const key = build.add('Add', [round % 2 === 0 ? seed.high : seed.low, constant]);
    const keyed = folded(build.add('Add', [low, key]), build);
    [high, low] = [keyed, folded(build.add('Add', [high, middle(keyed, build)]), build)];
  }
  return { high, low };
}

/** Whole numbers below 2^24 as halves. */
function halvesOf(value: string, build: GraphBuilder): Halves {
  const high = build.add('Floor', [build.add('Mul', [value, build.scalar(1 / half, value)])]);
  return { high, low: build.add('Sub', [value, build.add('Mul', [high, build.scalar(half, high)])]) };
}

/** 0, 1, 2, ... along one axis of `x`, of size 1 along the others. */
function counterAlong(axis: number, x: string, build: GraphBuilder): string {
  const shape = build.shapeOf(x);
  const size = shape[axis];
  const place = shape.map((_, i) => (i === axis ? -1 : 1));
  if (typeof size === 'number')
    return counter(
      place.map((each) => (each === -1 ? size : 1)),
      build,
    );
  const bounds = [build.ints([axis]), build.ints([axis + 1])];
  const length = build.add('Squeeze', [build.add('Slice', [build.add('Shape', [x]), ...bounds])]);
  const [zero, one] = [0n, 1n].map((value) => build.constant(tensor('int64', [], BigInt64Array.of(value))));
  const numbers = build.add('Range', [zero ?? '', length, one ?? '']);
  return build.add('Reshape', [castTo(numbers, 'float32', build), build.ints(place)]);
}

function counter(shape: readonly number[], build: GraphBuilder): string {
  const length = elementCount(shape);
  if (length > half ** 2) {
    throw new GraftError('MODEL_TOO_LARGE', `a mask over ${length} numbers an example; the limit is ${half ** 2}`);
  }
  return build.constant(
    tensor(
      'float32',
      shape,
      Float32Array.from({ length }, (_, i) => i),
    ),
  );
}

/** Row axes are taken in one after the other, as a sponge does. */
function hashedRows(
  axes: readonly number[],
  x: string,
  given: { seed: Halves; salt: number; build: GraphBuilder },
): Halves {
  const { seed, salt, build } = given;
  const [first = 0, ...rest] = axes;
  const start = hashed(halvesOf(counterAlong(first, x, build), build), seed, { salt, build });
  return rest.reduce((state, axis, i) => {
    const next = halvesOf(counterAlong(axis, x, build), build);
    const high = folded(build.add('Add', [state.high, next.high]), build);
    const low = folded(build.add('Add', [state.low, next.low]), build);
    return hashed({ high, low }, seed, { salt: salt + 17 * (i + 1), build });
  }, start);
}

/**
 * A mask of the shape of `x` in its element type: 0 with the chance `exactRate(rate)`, else 1 / (1 - rate), which keeps the mean.
 * @param seed float32 scalar, a whole number of [0, 2^24)
 * @param site the number of the mask in its graph, so that two masks of one seed differ
 * Throws MODEL_TOO_LARGE above 2^24 numbers an example.
 */
export function addMask(
  x: string,
  { seed, rate, site }: { seed: string; rate: number; site: number },
  build: GraphBuilder,
): string {
  const shape = build.shapeOf(x);
  const rowAxes = shape.flatMap((size, axis) => (axis === 0 || typeof size === 'string' ? [axis] : []));
  const key = halvesOf(seed, build);
  const rows = hashedRows(rowAxes, x, { seed: key, salt: 2 * site, build });
  const columns = counter(
    shape.map((size, axis) => (rowAxes.includes(axis) ? 1 : Number(size))),
    build,
  );
  const columnHash = hashed(halvesOf(columns, build), key, { salt: 2 * site + 1, build });
  // 11 bits times 12 bits, in units of 2^-18; the shifts in units of 2^-12: every sum is a whole number below 2^24 of 2^-18.
  const scaledRow = build.add('Floor', [build.add('Mul', [rows.high, build.scalar(0.5, rows.high)])]);
  const product = build.add('Mul', [build.add('Mul', [scaledRow, build.scalar(2 ** -18, scaledRow)]), columnHash.high]);
  const shift = (value: string): string => build.add('Mul', [value, build.scalar(1 / half, value)]);
  const sum = build.add('Add', [build.add('Add', [product, shift(rows.low)]), shift(columnHash.low)]);
  const fraction = build.add('Sub', [sum, build.add('Floor', [sum])]);
  const chance = exactRate(rate);
  const kept = build.add('GreaterOrEqual', [fraction, build.scalar(chance, fraction)]);
  const mask = castTo(kept, build.typeOf(x).dtype, build);
  return build.add('Mul', [mask, build.scalar(1 / (1 - chance), mask)]);
}
