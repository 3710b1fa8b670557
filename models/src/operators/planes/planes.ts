/** Planes of a value [N, C, ...] as they lie in memory, for forms that work plane by plane. */
import type { GraphBuilder } from '../graph-builder.js';

export interface Planes {
  readonly channels: number;
  /** Elements of a plane. */
  readonly positions: number;
  readonly batch: number | string;
}

/** Undefined where channels or planes are of no known size, or there are no planes. */
export function planesOf(value: string, build: GraphBuilder): Planes | undefined {
  const { shape } = build.typeOf(value);
  const [batch = 1, channels, ...spatial] = shape ?? [];
  if (typeof channels !== 'number' || spatial.length === 0) return undefined;
  const positions = spatial.reduce<number>((product, size) => product * (typeof size === 'number' ? size : NaN), 1);
  return Number.isNaN(positions) ? undefined : { channels, positions, batch };
}

/** The shape again, with any batch. */
export function shapeLike(value: string, build: GraphBuilder): string {
  return build.ints([-1, ...build.shapeOf(value).slice(1).map(Number)]);
}
