/** Windows side by side, as in a pool whose stride is its kernel: values of windows repeated over what they cover. */
import { tensor } from '@graft/core/tensor';

import type { GraphBuilder } from '../graph-builder.js';
import { pad, slice } from '../indexing.js';
import type { FixedAxis } from '../window.js';

/** Whether the windows neither overlap nor leave gaps, from the first element on. */
export function isTiled(axes: readonly FixedAxis[]): boolean {
  return axes.every(({ kernel, stride, dilation, begin }) => kernel === stride && dilation === 1 && begin === 0);
}

/**
 * Each value [N, C, windows] at every place that its window covers, [N, C, inputs]; zero where there is no window.
 * By Resize: the runtime repeats pixels ten times faster than Expand does along inner axes.
 */
export function spread(value: string, axes: readonly FixedAxis[], build: GraphBuilder): string {
  const scales = build.constant(tensor('float32', [axes.length + 2], Float32Array.of(1, 1, ...axes.map(kernelOf))));
  const attributes = { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' };
  const repeated = axes.every(({ kernel }) => kernel === 1)
    ? value
    : build.add('Resize', [value, '', scales], attributes);
  return fitted(repeated, axes, build);
}

/** Zeros behind the last window, or what it reached past the end cut off. */
function fitted(value: string, axes: readonly FixedAxis[], build: GraphBuilder): string {
  const missing = axes.map(({ input, output, kernel }) => input - output * kernel);
  const cut = axes.flatMap(({ input }, i) => ((missing[i] ?? 0) < 0 ? [{ axis: i + 2, start: 0, end: input }] : []));
  const whole = cut.length === 0 ? value : slice(value, cut, build);
  return pad(whole, [...axes.map(() => 0), ...missing.map((count) => Math.max(0, count))], {
    axes: axes.map((_, i) => i + 2),
    build,
  });
}

const kernelOf = ({ kernel }: FixedAxis): number => kernel;
