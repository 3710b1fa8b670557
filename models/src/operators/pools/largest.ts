/** The gradient of the largest element of each window goes to the first such element, as in PyTorch. */
import { maskOf, reshapeLike } from '../broadcast.js';
import { floats, type GraphBuilder } from '../graph-builder.js';
import type { GradientSite } from '../operator.js';
import { shapeOf } from '../site.js';
import { fixedAxes, windowOf, type FixedAxis } from '../window.js';
import { isTiled, spread } from './tiles.js';

export function maxGradient(site: GradientSite, build: GraphBuilder): string[] {
  const [dy] = site.outputGradients;
  if (dy === undefined) return [];
  const tiles = tilesOf(site);
  return [tiles === undefined ? byIndices(site, dy, build) : byComparison(site, { dy, axes: tiles }, build)];
}

/** The axes where windows lie side by side in planes of known size. */
function tilesOf(site: GradientSite): readonly FixedAxis[] | undefined {
  const known = shapeOf(site, 0)
    .slice(2)
    .every((size) => typeof size === 'number');
  if (!known || site.inputs[0]?.dtype !== 'float32') return undefined;
  const axes = fixedAxes(site, windowOf(site));
  return isTiled(axes) ? axes : undefined;
}

/**
 * x = y in its window; of several such elements the one of the highest number, which the numbers k, ..., 2, 1 give to the first.
 * Three times faster than a pool that returns indices, and it runs on all threads.
 */
function byComparison(
  { node }: GradientSite,
  { dy, axes }: { dy: string; axes: readonly FixedAxis[] },
  build: GraphBuilder,
): string {
  const [[x = ''], [y = '']] = [node.inputs, node.outputs];
  const largest = maskOf(build.add('Equal', [x, spread(y, axes, build)]), dy, build);
  const numbers = build.constant(
    floats(build.typeOf(dy).dtype, [1, 1, ...axes.map(({ input }) => input)], numbersOfTaps(axes)),
  );
  const numbered = build.add('Mul', [largest, numbers]);
  const [first = ''] = build.repeat({ ...node, inputs: [numbered] }, 1);
  // A window of zeros alone lies behind the last one.
  const taken = maskOf(build.add('Equal', [numbered, spread(first, axes, build)]), dy, build);
  return build.add('Mul', [taken, spread(dy, axes, build)]);
}

/** The taps of each window counted down to 1 in row-major order, for every place of the plane. */
function numbersOfTaps(axes: readonly FixedAxis[]): number[] {
  const taps = axes.reduce((product, { kernel }) => product * kernel, 1);
  const tapAt = axes.reduce<number[]>(
    (all, { input, kernel }) =>
      all.flatMap((outer) => Array.from({ length: input }, (_, place) => outer * kernel + (place % kernel))),
    [0],
  );
  return tapAt.map((tap) => taps - tap);
}

/** Runs the pool again for the places of the largest elements, and adds each gradient there. */
function byIndices(site: GradientSite, dy: string, build: GraphBuilder): string {
  const [x = ''] = site.node.inputs;
  const { storage_order: _, ...attributes } = site.node.attributes;
  const [, places = ''] = build.repeat({ ...site.node, attributes }, 2);
  const flat = (value: string): string => build.add('Reshape', [value, build.ints([-1])]);
  const count = build.add('Reshape', [build.add('Size', [x]), build.ints([1])]);
  const zeros = build.add('Expand', [build.constant(floats(build.typeOf(dy).dtype, [1], [0])), count]);
  const sum = build.add('ScatterElements', [zeros, flat(places), flat(dy)], { axis: 0, reduction: 'add' });
  return reshapeLike(sum, x, build);
}
