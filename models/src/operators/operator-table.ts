/** The operator table: every operator that graft knows, by type, after the name of its domain where that is not the default one. A new operator is a new row of its family. */
import { GraftError } from '@graft/core/error';

import type { Node } from '../graph/graph.js';
import { convOperators } from './convolution/conv.js';
import { gatherOperators } from './indexing/gather.js';
import { joinOperators } from './indexing/join.js';
import { padOperators } from './indexing/pad.js';
import { scatterOperators } from './indexing/scatter.js';
import { selectionOperators } from './indexing/selection.js';
import { sliceOperators } from './indexing/slice.js';
import { forwardOnlyOperators } from './forward-only/forward-only.js';
import { einsumOperators } from './products/einsum.js';
import { matmulOperators } from './products/matmul.js';
import { normalizationOperators } from './normalizations/normalization.js';
import type { Operator, OperatorRows } from './operator.js';
import { activationOperators } from './pointwise/activations.js';
import { arithmeticOperators } from './pointwise/arithmetic.js';
import { elementwiseOperators } from './pointwise/elementwise-operators.js';
import { extremeOperators } from './pointwise/extremes.js';
import { logicOperators } from './pointwise/logic.js';
import { trigonometricOperators } from './pointwise/trigonometric.js';
import { poolOperators } from './pools/pool.js';
import { cumulativeOperators } from './reductions/cumulative.js';
import { reductionOperators } from './reductions/reduce.js';
import { affineGridOperators } from './resampling/affine-grid.js';
import { col2ImOperators } from './resampling/col2im.js';
import { gridSampleOperators } from './resampling/grid-sample.js';
import { resizeOperators } from './resampling/resize.js';
import { recurrentOperators } from './recurrent/recurrent.js';
import { topKOperators } from './selection/top-k.js';
import { dropoutOperators } from './selection/dropout.js';
import { blockOperators } from './shaping/blocks.js';
import { repeatOperators } from './shaping/repeat.js';
import { reshapeOperators } from './shaping/reshape.js';
import { sizeOperators } from './shaping/sizes.js';
import { classificationLossOperators } from './losses/classification.js';
import { softmaxOperators } from './losses/softmax.js';
import { withTfjs } from '../runtime/tfjs/tfjs-column.js';

export const operatorTable: OperatorRows = withTfjs({
  ...forwardOnlyOperators,
  ...elementwiseOperators,
  ...activationOperators,
  ...arithmeticOperators,
  ...extremeOperators,
  ...logicOperators,
  ...trigonometricOperators,
  ...cumulativeOperators,
  ...reductionOperators,
  ...blockOperators,
  ...repeatOperators,
  ...reshapeOperators,
  ...sizeOperators,
  ...gatherOperators,
  ...joinOperators,
  ...padOperators,
  ...scatterOperators,
  ...selectionOperators,
  ...sliceOperators,
  ...einsumOperators,
  ...matmulOperators,
  ...convOperators,
  ...poolOperators,
  ...normalizationOperators,
  ...recurrentOperators,
  ...affineGridOperators,
  ...col2ImOperators,
  ...gridSampleOperators,
  ...resizeOperators,
  ...classificationLossOperators,
  ...dropoutOperators,
  ...softmaxOperators,
  ...topKOperators,
});

/** The row of a node's operator. Throws MODEL_UNSUPPORTED where the table has none. */
export function operatorOf({ name, op, domain }: Node): Operator {
  const key = domain === '' ? op : `${domain}.${op}`;
  const row = Object.hasOwn(operatorTable, key) ? operatorTable[key] : undefined;
  if (row !== undefined) return row;
  throw new GraftError(
    'MODEL_UNSUPPORTED',
    `node '${name}' is a ${domain === '' ? '' : `${domain}.`}${op}, which is not in the operator table`,
    {
      details: { node: name, op },
    },
  );
}
