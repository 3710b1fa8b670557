/**
 * The runtime's blocked layout, [N, C / b, H, W, b] under the shape [N, C, H, W]: its depthwise kernels work on b channels at once.
 * Operators of domain com.microsoft.nchwc, for sessions of ONNX Runtime only; the graph optimizer writes them for constant weights,
 * a training graph writes them itself: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#commicrosoftnchwcconv
 */
import type { GraphBuilder } from '../graph-builder.js';
import { pad } from '../indexing.js';
import { windowAttributes, type Convolution } from './convolution.js';

const domain = 'com.microsoft.nchwc';

/** The runtime reorders channels by fours. */
const reorderedTogether = 4;

export function blocksOf(channels: number, block: number): number {
  return Math.ceil(channels / block) * block;
}

export const canBlock = (channels: number): boolean => channels % reorderedTogether === 0;

export function blockOf({ lowering }: GraphBuilder): number {
  return lowering.blockedChannels ?? 1;
}

const key = (value: string): string => `blocked ${value}`;

/** A value in blocks, made once for all that read it so; channels are filled up with zeros to whole blocks. */
export function toBlocks(value: string, build: GraphBuilder): string {
  return build.once(key(value), () => {
    const { dtype } = build.typeOf(value);
    const [batch = 1, channels = 1, ...spatial] = build.shapeOf(value);
    const shape = [batch, blocksOf(Number(channels), blockOf(build)), ...spatial];
    return build.addPrivate(domain, 'ReorderInput', [value], { type: { dtype, shape } });
  });
}

/** The value [N, channels, H, W] of one in blocks; named `output` where that must be so. */
export function fromBlocks(
  blocked: string,
  { channels, output }: { channels: number; output?: string },
  build: GraphBuilder,
): string {
  const { dtype } = build.typeOf(blocked);
  const [batch = 1, , ...spatial] = build.shapeOf(blocked);
  const value = build.addPrivate(domain, 'ReorderOutput', [blocked], {
    attributes: { channels },
    type: { dtype, shape: [batch, channels, ...spatial] },
    ...(output !== undefined && { output }),
  });
  build.remember(key(value), blocked);
  return value;
}

/** A convolution of values and kernels in blocks; `bias` [filters], filled up to whole blocks. */
export function blockedConv(
  { x, w, bias }: { x: string; w: string; bias?: string },
  conv: Pick<Convolution, 'axes' | 'group'> & { filters: number },
  build: GraphBuilder,
): string {
  const { dtype } = build.typeOf(x);
  const [batch = 1] = build.shapeOf(x);
  return build.addPrivate(domain, 'Conv', [x, w, ...(bias === undefined ? [] : [bias])], {
    attributes: { ...windowAttributes(conv), auto_pad: 'NOTSET' },
    type: { dtype, shape: [batch, conv.filters, ...conv.axes.map(({ output }) => output)] },
  });
}

/** A vector of the channels, filled up with zeros to whole blocks. */
export function filledUp(value: string, channels: number, build: GraphBuilder): string {
  return pad(value, [0, blocksOf(channels, blockOf(build)) - channels], { axes: [0], build });
}
