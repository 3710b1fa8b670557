/** Operators that stay though they were born after the internal opset: BitCast reads bits anew, CumProd is a product of each prefix. */
import type { Family } from './history.js';

export const late: Family = {
  BitCast: { versions: [26], late: true },
  CumProd: { versions: [26], late: true },
};
