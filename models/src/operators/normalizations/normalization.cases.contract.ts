/** For specs: the cases of normalizations whose gradients are compared, and their float64 references. */
import type { Node } from '../../graph/graph.js';
import { at, make, mean, none, pick, size, sum, type Array64, type References } from '../array64.contract.js';
import { constant, positive, type GradientCase } from '../central-differences.contract.js';
import { floatOf, intOf, intsOf } from '../site.js';

const image = [2, 4, 3, 5];

/** Running statistics that a node in training mode takes but does not use. */
const unused = (channels: number): GradientCase['constants'] => ({
  3: constant('float32', [channels], Array<number>(channels).fill(0)),
  4: constant('float32', [channels], Array<number>(channels).fill(1)),
});

const training = (momentum: number): GradientCase['attributes'] => ({
  training_mode: 1,
  momentum: { float: momentum },
});

export const normalizationCases: readonly GradientCase[] = [
  { op: 'LayerNormalization', shapes: [[2, 3, 6], [6], [6]] },
  { op: 'LayerNormalization', shapes: [[2, 3, 6], [6]], note: 'without a bias' },
  {
    op: 'LayerNormalization',
    shapes: [
      [2, 3, 6],
      [3, 6],
      [3, 6],
    ],
    attributes: { axis: 1, epsilon: { float: 1e-3 } },
  },
  { op: 'LayerNormalization', shapes: [[2, 3, 6], [6], [6]], symbols: { 0: ['batch', 'length', 6] } },
  { op: 'LayerNormalization', shapes: [[2, 3, 6], [6], [6]], outputs: 3, note: 'with mean and deviation' },
  {
    op: 'LayerNormalization',
    shapes: [
      [2, 3, 4],
      [3, 4],
    ],
    attributes: { axis: 1 },
    outputs: 3,
    projected: [1, 2],
  },
  { op: 'BatchNormalization', shapes: [[1, 4, 4, 5], [4], [4], [4], [4]], range: positive, frozen: [3, 4] },
  { op: 'BatchNormalization', shapes: [[6, 4], [4], [4], [4], [4]], range: positive, frozen: [3, 4] },
  ...[[image], [[3, 4, 7]], [[8, 4]], [[2, 4, 2, 3, 2]]].flatMap(([x = []]) =>
    [0, 0.9].map((momentum) => ({
      op: 'BatchNormalization',
      shapes: [x, [4], [4], [], []],
      constants: unused(4) ?? {},
      attributes: training(momentum) ?? {},
      outputs: 3,
      projected: [0],
    })),
  ),
  {
    op: 'BatchNormalization',
    shapes: [image, [4], [4], [], []],
    constants: unused(4) ?? {},
    attributes: training(0) ?? {},
    outputs: 3,
    projected: [0],
    symbols: { 0: ['batch', 4, 'height', 'width'] },
  },
  { op: 'GroupNormalization', shapes: [[2, 6, 3, 2], [6], [6]], attributes: { num_groups: 3 } },
  { op: 'GroupNormalization', shapes: [[2, 4, 5], [4], [4]], attributes: { num_groups: 1 } },
  {
    op: 'GroupNormalization',
    shapes: [[2, 6, 3, 2], [6], [6]],
    attributes: { num_groups: 2, epsilon: { float: 1e-2 } },
    symbols: { 0: ['batch', 6, 3, 2] },
  },
  { op: 'InstanceNormalization', shapes: [image, [4], [4]] },
  { op: 'InstanceNormalization', shapes: [[2, 3, 7], [3], [3]], symbols: { 0: ['batch', 3, 'length'] } },
  ...[1, 2].flatMap((p) =>
    [0, 1, -1].map((axis) => ({ op: 'LpNormalization', shapes: [[3, 4, 2]], attributes: { p, axis } })),
  ),
  { op: 'LRN', shapes: [[2, 5, 2, 3]], attributes: { size: 3, alpha: { float: 0.3 } } },
  {
    op: 'LRN',
    shapes: [[1, 6, 2, 2]],
    attributes: { size: 5, alpha: { float: 0.5 }, beta: { float: 0.6 }, bias: { float: 2 } },
  },
  { op: 'MeanVarianceNormalization', shapes: [image] },
  { op: 'MeanVarianceNormalization', shapes: [[3, 4, 2]], attributes: { axes: [1, 2] } },
];

/** (x - mean) / sqrt(var + epsilon) over all places that share a key. */
function standardize(x: Array64, key: (place: number[]) => string, epsilon: number): Array64 {
  const sets = new Map<string, number[]>();
  for (const [i, value] of x.data.entries()) {
    const name = key(at(i, x.shape));
    sets.set(name, [...(sets.get(name) ?? []), value]);
  }
  const moments = new Map([...sets].map(([name, values]) => [name, [mean(values), variance(values)] as const]));
  return make(x.shape, (place) => {
    const [center, spread] = moments.get(key(place)) ?? [NaN, NaN];
    return (pick(x, place) - center) / Math.sqrt(spread + epsilon);
  });
}

function variance(values: readonly number[]): number {
  const center = mean(values);
  return mean(values.map((each) => (each - center) ** 2));
}

/** y[:, c] = x[:, c] scale[c] + bias[c] */
const byChannel = (x: Array64, scale = none, bias = none): Array64 =>
  make(x.shape, (place) => pick(x, place) * (scale.data[place[1] ?? 0] ?? 1) + (bias.data[place[1] ?? 0] ?? 0));

const epsilonOf = (node: Node): number => floatOf(node, 'epsilon', 1e-5);

function moments(x: Array64, channel: number): readonly [number, number] {
  const values = x.data.filter((_, i) => at(i, x.shape)[1] === channel);
  return [mean(values), variance(values)];
}

export const normalizationReferences: References = {
  LayerNormalization: (node, [x = none, scale = none, bias = { shape: [], data: [0] }]) => {
    const first = (intOf(node, 'axis', -1) + x.shape.length) % x.shape.length;
    const xh = standardize(x, (place) => place.slice(0, first).join(), epsilonOf(node));
    const y = make(x.shape, (place) => pick(xh, place) * pick(scale, place) + pick(bias, place));
    if (node.outputs.length === 1) return y;
    const shape = x.shape.map((each, axis) => (axis < first ? each : 1));
    const length = size(x.shape.slice(first));
    const lines = Array.from({ length: size(shape) }, (_, i) => x.data.slice(i * length, (i + 1) * length));
    const inverses = lines.map((line) => 1 / Math.sqrt(variance(line) + epsilonOf(node)));
    return [y, { shape, data: lines.map(mean) }, { shape, data: inverses }];
  },
  BatchNormalization: (node, [x = none, scale, bias, center = none, spread = none]) => {
    const channels = x.shape[1] ?? 1;
    const ofBatch = intOf(node, 'training_mode', 0) === 1;
    const found = Array.from({ length: ofBatch ? channels : 0 }, (_, c) => moments(x, c));
    const means = found.map(([average]) => average);
    const variances = found.map(([, squares]) => squares);
    const [used, spreads] = ofBatch ? [means, variances] : [center.data, spread.data];
    const xh = make(x.shape, (place) => {
      const c = place[1] ?? 0;
      return (pick(x, place) - (used[c] ?? NaN)) / Math.sqrt((spreads[c] ?? NaN) + epsilonOf(node));
    });
    const y = byChannel(xh, scale, bias);
    const kept = floatOf(node, 'momentum', 0.9);
    const running = [center, spread].map((old, which) => ({
      shape: [channels],
      data: old.data.map((each, c) => each * kept + ((which === 0 ? means : variances)[c] ?? NaN) * (1 - kept)),
    }));
    return ofBatch && node.outputs.length > 1 ? [y, ...running] : y;
  },
  GroupNormalization: (node, [x = none, scale, bias]) => {
    const perGroup = (x.shape[1] ?? 1) / intOf(node, 'num_groups', 1);
    const key = ([n = 0, c = 0]: number[]): string => `${n} ${Math.floor(c / perGroup)}`;
    return byChannel(standardize(x, key, epsilonOf(node)), scale, bias);
  },
  InstanceNormalization: (node, [x = none, scale, bias]) =>
    byChannel(
      standardize(x, ([n, c]) => `${n} ${c}`, epsilonOf(node)),
      scale,
      bias,
    ),
  LpNormalization: (node, [x = none]) => {
    const axis = (intOf(node, 'axis', -1) + x.shape.length) % x.shape.length;
    const p = intOf(node, 'p', 2);
    return make(x.shape, (place) => {
      const line = Array.from({ length: x.shape[axis] ?? 0 }, (_, i) => Math.abs(pick(x, place.with(axis, i))) ** p);
      return pick(x, place) / sum(line) ** (1 / p);
    });
  },
  LRN: (node, [x = none]) => {
    const count = intOf(node, 'size', 1);
    return make(x.shape, ([n = 0, c = 0, ...rest]) => {
      const first = c - Math.floor((count - 1) / 2);
      const near = Array.from({ length: count }, (_, i) => first + i).filter(
        (each) => each >= 0 && each < (x.shape[1] ?? 0),
      );
      const squares = sum(near.map((each) => pick(x, [n, each, ...rest]) ** 2));
      const s = floatOf(node, 'bias', 1) + (floatOf(node, 'alpha', 1e-4) / count) * squares;
      return pick(x, [n, c, ...rest]) / s ** floatOf(node, 'beta', 0.75);
    });
  },
  MeanVarianceNormalization: (node, [x = none]) => {
    const axes = new Set(intsOf(node, 'axes') ?? [0, 2, 3]);
    return standardize(x, (place) => place.filter((_, axis) => !axes.has(axis)).join(), 0);
  },
};
