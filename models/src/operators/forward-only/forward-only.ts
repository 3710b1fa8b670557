/** Rows of operators that graphs pass through on the way to what is trained: shapes and costs, and no gradient yet. */
import type { OperatorRows } from '../operator.js';
import { classicOperators } from './classic.js';
import { controlFlowOperators } from './control-flow.js';
import { oddOperators } from './odd.js';
import { quantizationOperators } from './quantization.js';
import { randomOperators } from './random.js';
import { sequenceOperators } from './sequences.js';
import { signalOperators } from './signal.js';
import { textOperators } from './texts.js';
import { visionOperators } from './vision.js';

export const forwardOnlyOperators: OperatorRows = {
  ...classicOperators,
  ...controlFlowOperators,
  ...oddOperators,
  ...quantizationOperators,
  ...randomOperators,
  ...sequenceOperators,
  ...signalOperators,
  ...textOperators,
  ...visionOperators,
};
