/** A two-dimensional convolution that is to be differentiated: names and sizes, all known. */
import type { GradientSite } from './operator.js';
import { fixedSize, intOf, notDifferentiable, shapeOf } from './site.js';
import { fixedAxes, windowOf, type FixedAxis } from './window.js';

export interface ConvSite {
  readonly site: GradientSite;
  readonly x: string;
  readonly w: string;
  readonly dy: string;
  readonly group: number;
  /** Channels of input and output. */
  readonly channels: number;
  readonly filters: number;
  readonly axes: readonly [height: FixedAxis, width: FixedAxis];
  /** Outputs of one filter over one example. */
  readonly positions: number;
}

export function convSiteOf(site: GradientSite, dy: string): ConvSite {
  const weight = shapeOf(site, 1);
  const [height, width, ...more] = fixedAxes(site, windowOf(site, weight.slice(2)));
  if (height === undefined || width === undefined || more.length > 0) {
    throw notDifferentiable(site.node, 'is no two-dimensional convolution; others have no gradient here');
  }
  return {
    site,
    x: site.node.inputs[0] ?? '',
    w: site.node.inputs[1] ?? '',
    dy,
    group: intOf(site.node, 'group', 1),
    channels: fixedSize(site, shapeOf(site, 0)[1], 'number of channels'),
    filters: fixedSize(site, weight[0], 'number of filters'),
    axes: [height, width],
    positions: height.output * width.output,
  };
}

/** A matrix product of each pixel's channels. */
export function isPointwise({ axes, group }: ConvSite): boolean {
  return (
    group === 1 &&
    axes.every(({ kernel, stride, begin, end }) => kernel === 1 && stride === 1 && begin === 0 && end === 0)
  );
}

/** One filter a channel. */
export function isDepthwise({ group, channels, filters }: ConvSite): boolean {
  return group === channels && filters === channels;
}
