/** The windows of a node whose sizes are all known, since it runs now. */
import { fixedAxes, windowOf, type FixedAxis } from '../../../../operators/window.js';
import type { Call } from '../../kernel.js';

export function windowAxes({ node, inputs }: Call, kernel: readonly number[] = []): FixedAxis[] {
  const site = { node, inputs: inputs.map((value) => value && { dtype: value.dtype, shape: value.shape }) };
  return fixedAxes(site, windowOf(site, kernel));
}

/** Elements that the windows look at, from the first to the last, counted with the padding before. */
export const cover = ({ output, stride, kernel, dilation }: FixedAxis): number =>
  (output - 1) * stride + dilation * (kernel - 1) + 1;
