/**
 * Planes read as blocks of lanes: a plane of L elements under [lanes channels, 1, L / lanes], every lane a channel of its own.
 * So the runtime's depthwise kernels of blocked channels work on values that were never reordered, in one pass and on all threads.
 */
import type { GraphBuilder } from '../graph-builder.js';
import type { Planes } from './planes.js';

const domain = 'com.microsoft.nchwc';

/** Steps along a plane below which the kernels' starting costs more than the pass saves. */
const stepsPerLane = 8;

/** Lanes of a vector, where the session has them and they divide the planes; undefined otherwise. */
export function lanesOf(planes: Planes | undefined, dtype: string, build: GraphBuilder): number | undefined {
  const lanes = build.lowering.blockedChannels;
  if (lanes === undefined || planes === undefined || dtype !== 'float32') return undefined;
  const { positions } = planes;
  return positions % lanes === 0 && positions >= stepsPerLane * lanes ? lanes : undefined;
}

export interface LaneConv {
  /** Channels, each a lane, and the window that moves along each. */
  readonly channels: number;
  readonly window: number;
  readonly steps: number;
  readonly batch: number | string;
}

/** Depthwise convolution along lanes: inputs x, w, and optionally bias and what is added to the result. */
export function laneConv(
  inputs: readonly string[],
  { channels, window, steps, batch }: LaneConv,
  build: GraphBuilder,
): string {
  return build.addPrivate(domain, 'Conv', inputs, {
    attributes: {
      kernel_shape: [1, window],
      strides: [1, 1],
      dilations: [1, 1],
      pads: [0, 0, 0, 0],
      group: channels,
      auto_pad: 'NOTSET',
    },
    type: { dtype: 'float32', shape: [batch, channels, 1, steps - window + 1] },
  });
}

/** A vector of channels [C] with each element once a lane, [C lanes]. */
export function acrossLanes(vector: string, lanes: number, build: GraphBuilder): string {
  const column = build.add('Reshape', [vector, build.ints([-1, 1])]);
  const [channels = 1] = build.shapeOf(vector);
  const spread = build.add('Expand', [column, build.ints([Number(channels), lanes])]);
  return build.add('Reshape', [spread, build.ints([-1])]);
}
