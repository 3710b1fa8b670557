/** For specs: arrays of float64 and what float64 references of operators are written with, as plainly as their pages define them. */
import type { Node } from '../graph/graph.js';
import { intOf } from './site.js';

export interface Array64 {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

/** The forward of an operator of one result; an optional input that is left out is undefined. */
export type Run = (node: Node, inputs: readonly (Array64 | undefined)[]) => Array64;

/** The forward of an operator of any number of results. */
export type Reference = (node: Node, inputs: readonly (Array64 | undefined)[]) => Array64 | readonly Array64[];

export type References = Readonly<Record<string, Reference>>;

export const none: Array64 = { shape: [], data: [] };

export const size = (shape: readonly number[]): number => shape.reduce((product, each) => product * each, 1);
export const sum = (values: readonly number[]): number => values.reduce((total, each) => total + each, 0);
export const mean = (values: readonly number[]): number => sum(values) / values.length;
export const clip = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high);

/** Coordinates of the i-th element. */
export function at(i: number, shape: readonly number[]): number[] {
  const result: number[] = [];
  for (const each of shape.toReversed()) {
    result.unshift(i % each);
    i = Math.floor(i / each);
  }
  return result;
}

/** The element at coordinates, which broadcast from the right; 0 outside, as padding is. */
export function pick({ shape, data }: Array64, place: readonly number[]): number {
  const own = place.slice(place.length - shape.length).map((each, axis) => (shape[axis] === 1 && each > 0 ? 0 : each));
  if (own.some((each, axis) => each < 0 || each >= (shape[axis] ?? 0))) return 0;
  return data[own.reduce((index, each, axis) => index * (shape[axis] ?? 1) + each, 0)] ?? NaN;
}

/** Without broadcasting: a plane of size 1 has padding too. */
export function pickInside(x: Array64, place: readonly number[]): number {
  return place.some((each, axis) => each < 0 || each >= (x.shape[axis] ?? 0)) ? 0 : pick(x, place);
}

export function make(shape: readonly number[], value: (place: number[]) => number): Array64 {
  return { shape, data: Array.from({ length: size(shape) }, (_, i) => value(at(i, shape))) };
}

export function broadcastShape(arrays: readonly Array64[]): number[] {
  const rank = Math.max(0, ...arrays.map(({ shape }) => shape.length));
  return Array.from({ length: rank }, (_, axis) =>
    arrays.map(({ shape }) => shape[axis - rank + shape.length] ?? 1).reduce((a, b) => (a === 1 ? b : a), 1),
  );
}

export const unary =
  (f: (x: number, node: Node) => number): Run =>
  (node, [x = none]) => ({ shape: x.shape, data: x.data.map((each) => f(each, node)) });

export const nary =
  (f: (...values: number[]) => number): Run =>
  (_, inputs) => {
    const given = inputs.filter((input) => input !== undefined);
    return make(broadcastShape(given), (place) => f(...given.map((input) => pick(input, place))));
  };

/** Over the axes of the second input, all where it is left out. */
export function reduce(fold: (values: readonly number[]) => number): Run {
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

export const transpose = (x: Array64, perm: readonly number[]): Array64 =>
  make(
    perm.map((axis) => x.shape[axis] ?? 1),
    (place) =>
      pick(
        x,
        perm.map((_, axis) => place[perm.indexOf(axis)] ?? 0),
      ),
  );

/** erf by its series, which converges for all that specs use. */
export function erf(x: number): number {
  let [term, total] = [x, x];
  for (let n = 1; n < 200; n++) {
    term *= (-x * x) / n;
    total += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * total;
}
