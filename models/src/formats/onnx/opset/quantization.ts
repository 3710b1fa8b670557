/** Quantised operators. Per-axis scales came in 13, blocks in 21; both by attributes with a default. */
import type { Family } from './history.js';

export const quantization: Family = {
  DequantizeLinear: { versions: [10, 13, 19, 21, 23, 24, 25], laterAttributes: ['output_dtype'] },
  DynamicQuantizeLinear: { versions: [11] },
  QLinearConv: { versions: [10] },
  QLinearMatMul: { versions: [10, 21] },
  QuantizeLinear: { versions: [10, 13, 19, 21, 23, 24, 25], laterAttributes: ['precision'] },
};
