/** For specs: operators that take tensors apart and put them together, in float64 and as their pages define them. */
import type { Node } from '../../graph/graph.js';
import { at, clip, make, none, pick, sum, type Array64, type References } from '../array64.contract.js';
import { intOf, stringOf } from '../site.js';

/** Where a padded place comes from, undefined where it is a new value. */
function paddedFrom(place: number, size: number, mode: string): number | undefined {
  if (place >= 0 && place < size) return place;
  if (mode === 'edge') return place < 0 ? 0 : size - 1;
  if (mode === 'wrap') return ((place % size) + size) % size;
  if (mode === 'reflect') return place < 0 ? -place : 2 * (size - 1) - place;
  return undefined;
}

/** The place that an index means, counted from the end where it is negative. */
const fromFront = (index: number, length = 1): number => (index < 0 ? index + length : index);

const reducing: Readonly<Record<string, (old: number, update: number) => number>> = {
  none: (_, update) => update,
  add: (old, update) => old + update,
  mul: (old, update) => old * update,
  max: Math.max,
  min: Math.min,
};

/** Writes each update to its place in turn. */
function scattered(
  node: Node,
  [x, updates]: readonly [Array64, Array64],
  target: (place: readonly number[]) => readonly number[],
): Array64 {
  const combine = reducing[stringOf(node, 'reduction', 'none')];
  const data = [...x.data];
  for (let i = 0; i < updates.data.length; i++) {
    const index = target(at(i, updates.shape)).reduce((sum, each, axis) => sum * (x.shape[axis] ?? 1) + each, 0);
    data[index] = combine?.(data[index] ?? NaN, updates.data[i] ?? NaN) ?? NaN;
  }
  return { shape: x.shape, data };
}

export const indexingReferences: References = {
  Concat: (node, given) => {
    const inputs = given.filter((input) => input !== undefined);
    const axis = fromFront(intOf(node, 'axis', 0), inputs[0]?.shape.length);
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
  Split: (node, [x = none, sizes]): Array64[] => {
    const axis = fromFront(intOf(node, 'axis', 0), x.shape.length);
    const total = x.shape[axis] ?? 1;
    const count = intOf(node, 'num_outputs', 1);
    const each = Math.ceil(total / count);
    const lengths = sizes?.data ?? Array.from({ length: count }, (_, i) => Math.min(each, total - i * each));
    return lengths.map((length, part) => {
      const start = sum(lengths.slice(0, part));
      return make(x.shape.with(axis, length), (place) => pick(x, place.with(axis, (place[axis] ?? 0) + start)));
    });
  },
  /** By Array.prototype.at and clamping, as its page says. */
  Slice: (_, [x = none, starts = none, ends = none, axes, steps]) => {
    const taken = x.shape.map((length, axis): number[] => {
      const i = axes === undefined ? (axis < starts.data.length ? axis : -1) : axes.data.indexOf(axis);
      if (i < 0) return [...Array(length).keys()];
      const step = steps?.data[i] ?? 1;
      const [low, high] = step > 0 ? [0, length] : [-1, length - 1];
      const [start, stop] = [starts, ends].map(({ data }) => clip(fromFront(data[i] ?? 0, length), low, high));
      const places: number[] = [];
      for (let place = start ?? 0; step > 0 ? place < (stop ?? 0) : place > (stop ?? 0); place += step)
        places.push(place);
      return places;
    });
    return make(
      taken.map(({ length }) => length),
      (place) =>
        pick(
          x,
          place.map((each, axis) => taken[axis]?.[each] ?? NaN),
        ),
    );
  },
  Gather: (node, [x = none, indices = none]) => {
    const axis = fromFront(intOf(node, 'axis', 0), x.shape.length);
    const shape = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
    return make(shape, (place) => {
      const index = fromFront(pick(indices, place.slice(axis, axis + indices.shape.length)), x.shape[axis]);
      return pick(x, [...place.slice(0, axis), index, ...place.slice(axis + indices.shape.length)]);
    });
  },
  GatherElements: (node, [x = none, indices = none]) => {
    const axis = fromFront(intOf(node, 'axis', 0), x.shape.length);
    return make(indices.shape, (place) => pick(x, place.with(axis, fromFront(pick(indices, place), x.shape[axis]))));
  },
  GatherND: (node, [x = none, indices = none]) => {
    const batch = intOf(node, 'batch_dims', 0);
    const depth = indices.shape.at(-1) ?? 1;
    const shape = [...indices.shape.slice(0, -1), ...x.shape.slice(batch + depth)];
    return make(shape, (place) => {
      const point = place.slice(0, indices.shape.length - 1);
      const index = Array.from({ length: depth }, (_, i) =>
        fromFront(pick(indices, [...point, i]), x.shape[batch + i]),
      );
      return pick(x, [...place.slice(0, batch), ...index, ...place.slice(indices.shape.length - 1)]);
    });
  },
  Compress: (node, [x = none, condition = none]) => {
    const kept = [...condition.data.keys()].filter((i) => condition.data[i] !== 0);
    const given = node.attributes['axis'];
    if (given?.kind !== 'int') return { shape: [kept.length], data: kept.map((i) => x.data[i] ?? NaN) };
    const axis = given.value;
    return make(x.shape.with(axis, kept.length), (place) => pick(x, place.with(axis, kept[place[axis] ?? 0] ?? NaN)));
  },
  ScatterElements: (node, [x = none, indices = none, updates = none]) => {
    const axis = fromFront(intOf(node, 'axis', 0), x.shape.length);
    return scattered(node, [x, updates], (place) => place.with(axis, fromFront(pick(indices, place), x.shape[axis])));
  },
  ScatterND: (node, [x = none, indices = none, updates = none]) => {
    const depth = indices.shape.at(-1) ?? 1;
    const points = indices.shape.length - 1;
    return scattered(node, [x, updates], (place) => [
      ...Array.from({ length: depth }, (_, i) => fromFront(pick(indices, [...place.slice(0, points), i]), x.shape[i])),
      ...place.slice(points),
    ]);
  },
  Pad: (node, [x = none, amounts = none, value, axes]) => {
    const rank = x.shape.length;
    const over = axes?.data.map((axis) => fromFront(axis, rank)) ?? [...Array(rank).keys()];
    const [begin, end] = [0, over.length].map((offset) =>
      x.shape.map((_, axis) => (over.includes(axis) ? (amounts.data[over.indexOf(axis) + offset] ?? 0) : 0)),
    );
    const shape = x.shape.map((each, axis) => each + (begin?.[axis] ?? 0) + (end?.[axis] ?? 0));
    const mode = stringOf(node, 'mode', 'constant');
    return make(shape, (place) => {
      const own = place.map((each, axis) => paddedFrom(each - (begin?.[axis] ?? 0), x.shape[axis] ?? 1, mode));
      const known = own.filter((each) => each !== undefined);
      return known.length < own.length ? (value?.data[0] ?? 0) : pick(x, known);
    });
  },
  OneHot: (node, [indices = none, depth = none, values = none]) => {
    const [count = 1] = depth.data;
    const axis = fromFront(intOf(node, 'axis', -1), indices.shape.length + 1);
    return make(indices.shape.toSpliced(axis, 0, count), (place) => {
      const index = fromFront(pick(indices, place.toSpliced(axis, 1)), count);
      return values.data[index === place[axis] ? 1 : 0] ?? NaN;
    });
  },
};
