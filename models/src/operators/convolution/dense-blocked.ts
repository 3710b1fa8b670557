/**
 * Convolutions of one group over blocks of channels, forward and by the input; the gradient by the weight has its own forms.
 * Milliseconds forward, as they are and in blocks with reordering (3 x 3, batch 32, one thread, AVX2): 16 to 32 channels over 14 x 14
 * 1.29 and 0.95, 64 over 16 x 16 9.0 and 7.5, 128 over 8 x 8 8.5 and 7.5; single pixels 0.58 and 0.74, and from 256 channels on slower.
 */
import type { GraphBuilder } from '../graph-builder.js';
import { slice } from '../indexing.js';
import type { Lowering } from '../lowering.js';
import { blockedConv, blockOf, fromBlocks, toBlocks } from './blocked.js';
import { byInput } from './by-input.js';
import { isUnstrided, type Convolution } from './convolution.js';

/** The kernel [O, C, h, w] in blocks of inputs and outputs, [O / b, C / b, taps, b, b]; with both exchanged and turned around by the input. */
function blockedKernel(conv: Convolution, turned: boolean, build: GraphBuilder): string {
  const { w, filters, channels, taps, axes } = conv;
  const block = blockOf(build);
  const parts = build.ints([filters / block, block, channels / block, block, taps]);
  const split = build.add('Reshape', [w, parts]);
  const ordered = build.add('Transpose', [split], { perm: turned ? [2, 0, 4, 1, 3] : [0, 2, 4, 3, 1] });
  const reversed = { axis: 2, start: -1, end: -(2 ** 31), step: -1 };
  const kernel = turned && taps > 1 ? slice(ordered, [reversed], build) : ordered;
  const counts = turned ? [channels, filters] : [filters, channels];
  return build.add('Reshape', [kernel, build.ints([...counts, ...axes.map((axis) => axis.kernel)])]);
}

/** Adds y named `output`. */
export function forwardDenseInBlocks(
  conv: Convolution,
  { bias, output }: { bias: string; output: string },
  build: GraphBuilder,
): void {
  const inputs = { x: toBlocks(conv.x, build), w: blockedKernel(conv, false, build) };
  const y = blockedConv(bias === '' ? inputs : { ...inputs, bias }, { ...conv, group: 1 }, build);
  fromBlocks(y, { channels: conv.filters, output }, build);
}

/** The convolution of the gradient with the kernel turned around, where the window has no steps. */
export function denseByInputInBlocks(conv: Convolution, dy: string, build: GraphBuilder): string {
  if (!isUnstrided(conv)) return byInput(conv, dy, build);
  const mirrored = conv.axes.map((axis) => {
    const reach = axis.dilation * (axis.kernel - 1);
    return { ...axis, input: axis.output, output: axis.input, begin: reach - axis.begin, end: reach - axis.end };
  });
  const inputs = { x: toBlocks(dy, build), w: blockedKernel(conv, true, build) };
  const dx = blockedConv(inputs, { axes: mirrored, group: 1, filters: conv.channels }, build);
  return fromBlocks(dx, { channels: conv.channels }, build);
}

const mostChannels = 128;

export function fitsDenseBlocks(conv: Convolution, { blockedChannels: block }: Lowering): boolean {
  const { channels, filters, axes } = conv;
  return (
    block !== undefined &&
    conv.dtype === 'float32' &&
    conv.group === 1 &&
    axes.length === 2 &&
    conv.taps > 1 &&
    channels % block === 0 &&
    filters % block === 0 &&
    Math.max(channels, filters) <= mostChannels &&
    axes.every(({ kernel, dilation, begin, end }) => Math.max(begin, end) <= dilation * (kernel - 1))
  );
}
