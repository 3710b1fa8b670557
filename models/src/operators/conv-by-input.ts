/** The gradient of a convolution by its input, in the form that is fastest for its size on CPUs. */
import type { GraphBuilder } from './graph-builder.js';
import { isDepthwise, isPointwise, type ConvSite } from './conv-site.js';
import { slice } from './indexing.js';
import { leftOver } from './window.js';

export function convByInput(conv: ConvSite, build: GraphBuilder): string {
  if (isPointwise(conv)) return build.add('Conv', [conv.dy, exchanged(conv, build)]);
  const unstrided = conv.axes.every(({ stride, kernel, dilation, begin, end }) => {
    const reach = dilation * (kernel - 1);
    return stride === 1 && begin <= reach && end <= reach;
  });
  if (unstrided && (conv.group === 1 || isDepthwise(conv))) return flippedConv(conv, build);
  return convTranspose(conv, build);
}

/** The weight with filters and channels exchanged. */
function exchanged({ w }: ConvSite, build: GraphBuilder): string {
  return build.add('Transpose', [w], { perm: [1, 0, 2, 3] });
}

/** Stride 1: the convolution of the gradient with the weight turned around. */
function flippedConv(conv: ConvSite, build: GraphBuilder): string {
  const { axes, dy, group } = conv;
  const weight = group === 1 ? exchanged(conv, build) : conv.w;
  const turned = axes.flatMap(({ kernel }, i) =>
    kernel === 1 ? [] : [{ axis: i + 2, start: -1, end: -(2 ** 31), step: -1 }],
  );
  const reach = axes.map(({ dilation, kernel }) => dilation * (kernel - 1));
  return build.add('Conv', [dy, turned.length === 0 ? weight : slice(weight, turned, build)], {
    kernel_shape: axes.map(({ kernel }) => kernel),
    dilations: axes.map(({ dilation }) => dilation),
    pads: [...axes.map(({ begin }, i) => (reach[i] ?? 0) - begin), ...axes.map(({ end }, i) => (reach[i] ?? 0) - end)],
    group,
  });
}

function convTranspose({ axes, dy, w, group }: ConvSite, build: GraphBuilder): string {
  return build.add('ConvTranspose', [dy, w], {
    kernel_shape: axes.map(({ kernel }) => kernel),
    strides: axes.map(({ stride }) => stride),
    dilations: axes.map(({ dilation }) => dilation),
    pads: [...axes.map(({ begin }) => begin), ...axes.map(({ end }) => end)],
    output_padding: axes.map(leftOver),
    group,
  });
}
