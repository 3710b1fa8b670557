/**
 * A layout says how named float32 tensors lie in one flat vector: the order that a delta travels in.
 * Names are sorted by code unit, so that every site derives the same layout from the same weights.
 */
import { elementCount, type Weights } from './tensor.js';

export interface LayoutEntry {
  readonly name: string;
  readonly shape: readonly number[];
  /** First element in the flat vector. */
  readonly offset: number;
  /** Number of elements. */
  readonly length: number;
}

export interface Layout {
  readonly entries: readonly LayoutEntry[];
  /** Elements of the whole vector. */
  readonly length: number;
}

/** The layout of tensors given by name and shape. */
export function layoutOf(shapes: Iterable<readonly [name: string, shape: readonly number[]]>): Layout {
  const sorted = [...shapes].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  let offset = 0;
  const entries = sorted.map(([name, shape]) => {
    const entry = { name, shape, offset, length: elementCount(shape) };
    offset += entry.length;
    return entry;
  });
  return { entries, length: offset };
}

/** The text whose sha256 is the layout's hash. */
export function canonicalLayout(layout: Layout): string {
  return JSON.stringify(layout.entries.map(({ name, shape }) => [name, shape]));
}

/** Float32 weights as one vector in layout order. Throws where a name is missing or a shape differs. */
export function flatten(layout: Layout, weights: Weights): Float32Array {
  const vector = new Float32Array(layout.length);
  for (const { name, shape, offset } of layout.entries) {
    const value = weights.get(name);
    if (value?.dtype !== 'float32' || value.shape.join() !== shape.join()) {
      throw new RangeError(
        `layout expects float32 '${name}' of shape [${shape.join(', ')}], got ${value ? `${value.dtype} [${value.shape.join(', ')}]` : 'nothing'}`,
      );
    }
    vector.set(value.data, offset);
  }
  return vector;
}
