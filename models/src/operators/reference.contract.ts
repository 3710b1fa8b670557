/** For specs: the operators in float64 and as plainly as their pages define them, to take central differences of. */
import type { Node } from '../graph/graph.js';
import { floatOf, intOf, intsOf } from './site.js';

export interface Array64 {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

const size = (shape: readonly number[]): number => shape.reduce((product, each) => product * each, 1);

/** Coordinates of the i-th element. */
function at(i: number, shape: readonly number[]): number[] {
  const result: number[] = [];
  for (const each of shape.toReversed()) {
    result.unshift(i % each);
    i = Math.floor(i / each);
  }
  return result;
}

/** The element at coordinates, which broadcast from the right; 0 outside, as padding is. */
function pick({ shape, data }: Array64, place: readonly number[]): number {
  const own = place.slice(place.length - shape.length).map((each, axis) => (shape[axis] === 1 && each > 0 ? 0 : each));
  if (own.some((each, axis) => each < 0 || each >= (shape[axis] ?? 0))) return 0;
  return data[own.reduce((index, each, axis) => index * (shape[axis] ?? 1) + each, 0)] ?? NaN;
}

function make(shape: readonly number[], value: (place: number[]) => number): Array64 {
  return { shape, data: Array.from({ length: size(shape) }, (_, i) => value(at(i, shape))) };
}

function broadcastShape(arrays: readonly Array64[]): number[] {
  const rank = Math.max(...arrays.map(({ shape }) => shape.length));
  return Array.from({ length: rank }, (_, axis) =>
    Math.max(...arrays.map(({ shape }) => shape[axis - rank + shape.length] ?? 1)),
  );
}

type Run = (node: Node, inputs: readonly Array64[]) => Array64;

const unary =
  (f: (x: number, node: Node) => number): Run =>
  (node, [x]) => ({ shape: x?.shape ?? [], data: (x?.data ?? []).map((each) => f(each, node)) });

const nary =
  (f: (...values: number[]) => number): Run =>
  (_, inputs) =>
    make(broadcastShape(inputs), (place) => f(...inputs.map((input) => pick(input, place))));

const clip = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high);

/** erf by its series, which converges for all that specs use. */
function erf(x: number): number {
  let [term, sum] = [x, x];
  for (let n = 1; n < 200; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

const none: Array64 = { shape: [], data: [] };

function reduce(fold: (values: readonly number[]) => number): Run {
  return (node, [x = none, axes]) => {
    const rank = x.shape.length;
    const over = new Set(axes === undefined ? x.shape.keys() : axes.data.map((axis) => (axis + rank) % rank));
    const kept = x.shape.map((each, axis) => (over.has(axis) ? 1 : each));
    const inner = x.shape.map((each, axis) => (over.has(axis) ? each : 1));
    const result = make(kept, (place) =>
      fold(
        Array.from({ length: size(inner) }, (_, i) =>
          pick(
            x,
            at(i, inner).map((each, axis) => each + (place[axis] ?? 0)),
          ),
        ),
      ),
    );
    const shape = intOf(node, 'keepdims', 1) === 1 ? kept : kept.filter((_, axis) => !over.has(axis));
    return { ...result, shape };
  };
}

const sum = (values: readonly number[]): number => values.reduce((total, each) => total + each, 0);
const mean = (values: readonly number[]): number => sum(values) / values.length;

function matMul(a: Array64, b: Array64): Array64 {
  const shared = a.shape.at(-1) ?? 1;
  const batch = broadcastShape([
    { ...a, shape: a.shape.slice(0, -2) },
    { ...b, shape: b.shape.slice(0, -2) },
    { shape: [1], data: [] },
  ]);
  const lead = a.shape.length === 2 && b.shape.length === 2 ? [] : batch;
  return make([...lead, a.shape.at(-2) ?? 1, b.shape.at(-1) ?? 1], (place) => {
    const [row = 0, column = 0] = place.slice(-2);
    const outer = place.slice(0, -2);
    return sum(Array.from({ length: shared }, (_, k) => pick(a, [...outer, row, k]) * pick(b, [...outer, k, column])));
  });
}

const transpose = (x: Array64, perm: readonly number[]): Array64 =>
  make(
    perm.map((axis) => x.shape[axis] ?? 1),
    (place) =>
      pick(
        x,
        perm.map((_, axis) => place[perm.indexOf(axis)] ?? 0),
      ),
  );

interface Geometry {
  readonly kernel: readonly number[];
  readonly output: readonly number[];
  /** Input place of a tap at a position. */
  readonly place: (position: readonly number[], tap: readonly number[]) => number[];
}

function geometry(node: Node, spatial: readonly number[], kernel: readonly number[]): Geometry {
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

function conv(node: Node, [x = none, w = none, bias]: readonly Array64[]): Array64 {
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

/** Without broadcasting: a plane of size 1 has padding too. */
function pickInside(x: Array64, place: readonly number[]): number {
  return place.some((each, axis) => each < 0 || each >= (x.shape[axis] ?? 0)) ? 0 : pick(x, place);
}

const pool =
  (fold: (values: readonly number[], taps: number, node: Node) => number): Run =>
  (node, [x = none]) => {
    const { kernel, output, place } = geometry(node, x.shape.slice(2), intsOf(node, 'kernel_shape') ?? []);
    return make([...x.shape.slice(0, 2), ...output], ([n = 0, c = 0, ...position]) => {
      const seen = Array.from({ length: size(kernel) }, (_, i) => [n, c, ...place(position, at(i, kernel))]);
      const inside = seen.filter((each) => each.every((one, axis) => one >= 0 && one < (x.shape[axis] ?? 0)));
      return fold(
        inside.map((each) => pick(x, each)),
        seen.length,
        node,
      );
    });
  };

/** Along the last axis. */
const rows =
  (f: (values: readonly number[]) => readonly number[]): Run =>
  (_, [x = none]) => {
    const length = x.shape.at(-1) ?? 1;
    const count = x.data.length / length;
    return {
      ...x,
      data: Array.from({ length: count }, (__, i) => f(x.data.slice(i * length, (i + 1) * length))).flat(),
    };
  };

const softmax = (values: readonly number[]): number[] => {
  const total = sum(values.map(Math.exp));
  return values.map((each) => Math.exp(each) / total);
};

function layerNorm(node: Node, [x = none, scale = none, bias = none]: readonly Array64[]): Array64 {
  const epsilon = floatOf(node, 'epsilon', 1e-5);
  return rows((values) => {
    const center = mean(values);
    const deviation = Math.sqrt(mean(values.map((each) => (each - center) ** 2)) + epsilon);
    return values.map((each, i) => ((each - center) / deviation) * (scale.data[i] ?? 1) + (bias.data[i] ?? 0));
  })(node, [x]);
}

const global =
  (fold: (values: readonly number[]) => number): Run =>
  (node, [x = none]) =>
    reduce(fold)({ ...node, attributes: {} }, [x, { shape: [2], data: [2, 3] }]);

/** Operators whose forward the specs differentiate. */
export const reference: Readonly<Record<string, Run>> = {
  Identity: unary((x) => x),
  Neg: unary((x) => -x),
  Abs: unary(Math.abs),
  Exp: unary(Math.exp),
  Log: unary(Math.log),
  Sqrt: unary(Math.sqrt),
  Reciprocal: unary((x) => 1 / x),
  Erf: unary(erf),
  Relu: unary((x) => Math.max(x, 0)),
  LeakyRelu: unary((x, node) => (x > 0 ? x : x * floatOf(node, 'alpha', 0.01))),
  Sigmoid: unary((x) => 1 / (1 + Math.exp(-x))),
  Tanh: unary(Math.tanh),
  Softplus: unary((x) => Math.log(1 + Math.exp(x))),
  HardSigmoid: unary((x, node) => clip(floatOf(node, 'alpha', 0.2) * x + floatOf(node, 'beta', 0.5), 0, 1)),
  HardSwish: unary((x) => (x * clip(x + 3, 0, 6)) / 6),
  Gelu: unary((x) => (x / 2) * (1 + erf(x / Math.SQRT2))),
  Clip: (_, [x = none, low, high]) => ({
    ...x,
    data: x.data.map((each) => clip(each, low?.data[0] ?? -Infinity, high?.data[0] ?? Infinity)),
  }),
  Add: nary((a, b) => a + b),
  Sub: nary((a, b) => a - b),
  Mul: nary((a, b) => a * b),
  Div: nary((a, b) => a / b),
  Pow: nary((a, b) => a ** b),
  Max: nary(Math.max),
  Min: nary(Math.min),
  Sum: nary((...values) => sum(values)),
  Where: nary((condition, a, b) => (condition === 0 ? b : a)),
  ReduceSum: reduce(sum),
  ReduceMean: reduce(mean),
  ReduceMax: reduce((values) => Math.max(...values)),
  ReduceMin: reduce((values) => Math.min(...values)),
  MatMul: (_, [a = none, b = none]) => matMul(a, b),
  Gemm: (node, [a = none, b = none, c]) => {
    const flipped = (value: Array64, flag: string): Array64 =>
      intOf(node, flag, 0) === 1 ? transpose(value, [1, 0]) : value;
    const product = matMul(flipped(a, 'transA'), flipped(b, 'transB'));
    return make(product.shape, (place) => {
      const added = c === undefined ? 0 : pick(c, place) * floatOf(node, 'beta', 1);
      return pick(product, place) * floatOf(node, 'alpha', 1) + added;
    });
  },
  Conv: conv,
  AveragePool: pool((values, taps, node) =>
    intOf(node, 'count_include_pad', 0) === 1 ? sum(values) / taps : mean(values),
  ),
  MaxPool: pool((values) => Math.max(...values)),
  GlobalAveragePool: global(mean),
  GlobalMaxPool: global((values) => Math.max(...values)),
  Softmax: rows(softmax),
  LogSoftmax: rows((values) => softmax(values).map(Math.log)),
  LayerNormalization: layerNorm,
  BatchNormalization: (node, [x = none, scale, bias, center, variance]) =>
    make(x.shape, (place) => {
      const c = place[1] ?? 0;
      const deviation = Math.sqrt((variance?.data[c] ?? 1) + floatOf(node, 'epsilon', 1e-5));
      return ((pick(x, place) - (center?.data[c] ?? 0)) / deviation) * (scale?.data[c] ?? 1) + (bias?.data[c] ?? 0);
    }),
  Transpose: (node, [x = none]) => transpose(x, intsOf(node, 'perm') ?? [...x.shape.keys()].reverse()),
  Expand: (_, [x = none, shape = none]) =>
    make(broadcastShape([x, { shape: shape.data, data: [] }]), (place) => pick(x, place)),
  Concat: (node, inputs) => {
    const axis = intOf(node, 'axis', 0);
    const shape = (inputs[0]?.shape ?? []).map((each, i) =>
      i === axis ? sum(inputs.map((one) => one.shape[axis] ?? 0)) : each,
    );
    return make(shape, (place) => {
      let index = place[axis] ?? 0;
      for (const input of inputs) {
        const length = input.shape[axis] ?? 0;
        if (index < length) return pick(input, place.with(axis, index));
        index -= length;
      }
      return NaN;
    });
  },
  Slice: (_, [x = none, starts = none, ends = none, axes = none]) => {
    const start = x.shape.map((__, axis) => starts.data[axes.data.indexOf(axis)] ?? 0);
    const shape = x.shape.map((each, axis) => (ends.data[axes.data.indexOf(axis)] ?? each) - (start[axis] ?? 0));
    return make(shape, (place) =>
      pick(
        x,
        place.map((each, axis) => each + (start[axis] ?? 0)),
      ),
    );
  },
  Gather: (node, [x = none, indices = none]) => {
    const axis = intOf(node, 'axis', 0);
    const shape = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
    return make(shape, (place) => {
      const index = pick(indices, place.slice(axis, axis + indices.shape.length));
      return pick(x, [...place.slice(0, axis), index, ...place.slice(axis + indices.shape.length)]);
    });
  },
  Pad: (_, [x = none, amounts = none]) => {
    const rank = x.shape.length;
    const shape = x.shape.map((each, axis) => each + (amounts.data[axis] ?? 0) + (amounts.data[axis + rank] ?? 0));
    return make(shape, (place) =>
      pickInside(
        x,
        place.map((each, axis) => each - (amounts.data[axis] ?? 0)),
      ),
    );
  },
};
