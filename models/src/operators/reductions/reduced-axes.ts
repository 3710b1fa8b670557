/** Which axes a reduction takes away, and how a result of it broadcasts against its input again. */
import type { Dimension } from '../../graph/graph.js';
import { reshapeTo } from '../broadcast.js';
import { unknownSize } from '../dimension.js';
import type { GraphBuilder } from '../graph-builder.js';
import { knownNumbers, isGiven } from '../known.js';
import type { GradientSite, Site } from '../operator.js';
import { axisOf, gradientMissing, inputOf, intOf, intsOf, shapeOf } from '../site.js';

export const keepsAxes = ({ node }: Site): boolean => intOf(node, 'keepdims', 1) === 1;

/** The axes that are reduced; undefined where only running the graph tells. */
export function axesOf(site: Site): ReadonlySet<number> | undefined {
  const rank = shapeOf(site, 0).length;
  const axes = isGiven(site, 1) ? knownNumbers(site, 1) : (intsOf(site.node, 'axes') ?? []);
  if (axes === undefined) return undefined;
  if (axes.length > 0) return new Set(axes.map((axis) => axisOf(site.node, axis, rank)));
  return new Set(intOf(site.node, 'noop_with_empty_axes', 0) === 1 ? [] : Array(rank).keys());
}

/** The shape of the result; undefined where even its rank is not known. */
export function reducedShape(site: Site): readonly Dimension[] | undefined {
  const { shape } = inputOf(site, 0);
  if (shape === undefined) return undefined;
  const axes = axesOf(site);
  if (axes !== undefined)
    return shape.flatMap((size, axis): Dimension[] => (!axes.has(axis) ? [size] : keepsAxes(site) ? [1] : []));
  const unknown = (rank: number): Dimension[] =>
    Array.from({ length: rank }, (_, axis) => unknownSize(site.node.name, `axis${axis}`));
  if (keepsAxes(site)) return unknown(shape.length);
  const count = site.inputs[1]?.shape?.[0];
  return typeof count === 'number' && count > 0 ? unknown(shape.length - count) : undefined;
}

/** A result of the reduction with the reduced axes back as size 1, so that it broadcasts against the input. */
export function withAxes(site: GradientSite, value: string, build: GraphBuilder): string {
  if (keepsAxes(site)) return value;
  const axes = axesOf(site);
  if (axes === undefined) throw gradientMissing(site.node, 'reduces axes that are not constant and does not keep them');
  if (axes.size === 0) return value;
  const shape = shapeOf(site, 0).map((size, axis) => (axes.has(axis) ? 1 : size));
  if (shape.filter((size) => typeof size === 'string').length > 1)
    return build.add('Unsqueeze', [value, build.ints([...axes])]);
  return reshapeTo(value, shape, { like: value, build });
}
