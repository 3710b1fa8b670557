/** A convolution of any rank with all its sizes known: what the forms of its forward pass and of its gradients are written from. */
import type { ElementType } from '../../graph/element-type.js';
import type { Dimension } from '../../graph/graph.js';
import type { Attributes } from '../graph-builder.js';
import type { Site } from '../operator.js';
import { fixedSize, inputOf, intOf, shapeOf } from '../site.js';
import { fixedAxes, windowOf, type FixedAxis } from '../window.js';

export interface Convolution {
  /** Names of the input [N, channels, ...] and the weight [filters, channels / group, ...kernel]. */
  readonly x: string;
  readonly w: string;
  readonly dtype: ElementType;
  readonly group: number;
  /** Channels of input and output. */
  readonly channels: number;
  readonly filters: number;
  readonly batch: Dimension;
  readonly axes: readonly FixedAxis[];
  /** Outputs of one filter over one example. */
  readonly positions: number;
  /** Taps of a kernel. */
  readonly taps: number;
}

/** Throws MODEL_UNSUPPORTED where a size other than the batch's is a symbol. */
export function convolutionOf(site: Site): Convolution {
  const weight = shapeOf(site, 1);
  const axes = fixedAxes(site, windowOf(site, weight.slice(2)));
  return {
    x: site.node.inputs[0] ?? '',
    w: site.node.inputs[1] ?? '',
    dtype: inputOf(site, 0).dtype,
    group: intOf(site.node, 'group', 1),
    channels: fixedSize(site, shapeOf(site, 0)[1], 'number of channels'),
    filters: fixedSize(site, weight[0], 'number of filters'),
    batch: shapeOf(site, 0)[0] ?? 1,
    axes,
    positions: productOver(axes, ({ output }) => output),
    taps: productOver(axes, ({ kernel }) => kernel),
  };
}

export function productOver(axes: readonly FixedAxis[], pick: (axis: FixedAxis) => number): number {
  return axes.reduce((product, axis) => product * pick(axis), 1);
}

/** A kernel of one tap without padding, of one group: a matrix product of the channels of the pixels that it sees. */
export function isPointwise({ axes, group }: Convolution): boolean {
  return group === 1 && axes.every(({ kernel, begin, end }) => kernel === 1 && begin === 0 && end === 0);
}

export function isUnstrided({ axes }: Convolution): boolean {
  return axes.every(({ stride }) => stride === 1);
}

/** One filter a channel. */
export function isDepthwise({ group, channels, filters }: Convolution): boolean {
  return group === channels && filters === channels;
}

/** The attributes of a node that moves this window, pads written out. */
export function windowAttributes({ axes, group }: Pick<Convolution, 'axes' | 'group'>): Attributes {
  return {
    kernel_shape: axes.map(({ kernel }) => kernel),
    strides: axes.map(({ stride }) => stride),
    dilations: axes.map(({ dilation }) => dilation),
    pads: [...axes.map(({ begin }) => begin), ...axes.map(({ end }) => end)],
    group,
  };
}
