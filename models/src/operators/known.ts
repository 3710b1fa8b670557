/** What is known of values: writing it down, and following the numbers of small shape computations through operators. */
import type { ElementType } from '../graph/element-type.js';
import type { Dimension } from '../graph/graph.js';
import type { Known, Site } from './operator.js';

/** Values of more elements are not followed as numbers: axes, shapes and exponents have fewer. */
export const followedElements = 256;

/** A type with what else is known of the value. */
export function knownOf(
  dtype: ElementType,
  shape: readonly Dimension[] | undefined,
  elements?: readonly Dimension[],
): Known {
  return {
    dtype,
    ...(shape && { shape }),
    ...(elements && elements.length <= followedElements && { elements }),
  };
}

/** The shape where it is known in numbers. */
export function numericShape(shape: readonly Dimension[] | undefined): readonly number[] | undefined {
  const numbers = shape?.filter((size) => typeof size === 'number');
  return numbers !== undefined && numbers.length === shape?.length ? numbers : undefined;
}

/** The numbers of an input where they are known, undefined where they are not or the input is left out. */
export function knownNumbers(site: Site, index: number): readonly number[] | undefined {
  return numericShape(site.inputs[index]?.elements);
}

export const isGiven = (site: Site, index: number): boolean => site.inputs[index] !== undefined;

/** Index in row-major order. */
export const indexOf = (place: readonly number[], shape: readonly number[]): number =>
  place.reduce((index, each, axis) => index * (shape[axis] ?? 1) + each, 0);

/** All coordinates of a shape in row-major order. */
export function placesOf(shape: readonly number[]): number[][] {
  return shape.reduce<number[][]>(
    (places, size) => places.flatMap((place) => Array.from({ length: size }, (_, i) => [...place, i])),
    [[]],
  );
}

/** The elements of a value of this shape whose element at a place is that of `from` at another, where both are known and few. */
export function movedElements(
  from: Known | undefined,
  shape: readonly Dimension[] | undefined,
  source: (place: readonly number[]) => readonly number[],
): readonly Dimension[] | undefined {
  const [own, target] = [numericShape(from?.shape), numericShape(shape)];
  if (from?.elements === undefined || own === undefined || target === undefined) return undefined;
  // A size above the bound is none to count places of, even beside a zero.
  const few = target.reduce((product, size) => product * size, 1) <= followedElements;
  if (!few || target.some((size) => size > followedElements)) return undefined;
  const { elements } = from;
  const moved = placesOf(target).flatMap((place) => elements[indexOf(source(place), own)] ?? []);
  return moved.length === target.reduce((product, size) => product * size, 1) ? moved : undefined;
}

/** Elements one by one; undefined where one of the results is. */
export function mappedElements(
  elements: readonly Dimension[] | undefined,
  map: (element: Dimension) => Dimension | undefined,
): readonly Dimension[] | undefined {
  const mapped = elements?.flatMap((element) => map(element) ?? []);
  return mapped?.length === elements?.length ? mapped : undefined;
}

/** For `mappedElements`: numbers only. */
export const ofNumber =
  (compute: (value: number) => number) =>
  (element: Dimension): Dimension | undefined =>
    typeof element === 'number' ? compute(element) : undefined;
