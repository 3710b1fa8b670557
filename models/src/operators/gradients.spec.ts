/** Every operator with a gradient is compared with central differences in the spec of its family. */
import { describe, expect, it } from '@jest/globals';

import { activationsCases } from './pointwise/activations.cases.contract.js';
import { arithmeticCases } from './pointwise/arithmetic.cases.contract.js';
import { convCases } from './conv.cases.contract.js';
import { elementwiseCases } from './pointwise/elementwise.cases.contract.js';
import { indexingCases } from './indexing/indexing.cases.contract.js';
import { einsumCases } from './products/einsum.cases.contract.js';
import { matmulCases } from './products/matmul.cases.contract.js';
import { normalizationCases } from './normalizations/normalization.cases.contract.js';
import { poolCases } from './pools/pool.cases.contract.js';
import { reductionsCases } from './reductions/reductions.cases.contract.js';
import { gridCases } from './resampling/grid.cases.contract.js';
import { resizeCases } from './resampling/resize.cases.contract.js';
import { shapingCases } from './shaping/shaping.cases.contract.js';
import { classificationLossCases } from './losses/classification.cases.contract.js';
import { recurrentCases } from './recurrent/recurrent.cases.contract.js';
import { selectionCases } from './selection/selection.cases.contract.js';
import { softmaxCases } from './losses/softmax.cases.contract.js';
import { operatorTable } from './operator-table.js';

const cases = [
  ...activationsCases,
  ...arithmeticCases,
  ...convCases,
  ...elementwiseCases,
  ...indexingCases,
  ...einsumCases,
  ...matmulCases,
  ...normalizationCases,
  ...poolCases,
  ...reductionsCases,
  ...gridCases,
  ...resizeCases,
  ...shapingCases,
  ...classificationLossCases,
  ...recurrentCases,
  ...selectionCases,
  ...softmaxCases,
];

/** May only grow. */
const differentiableAtLeast = 120;

describe('the operator table', () => {
  const differentiable = Object.entries(operatorTable)
    .filter(([, { gradient }]) => typeof gradient !== 'string')
    .map(([op]) => op);

  it('compares the gradient of every operator that has one', () => {
    const compared = new Set(cases.map(({ op }) => op));
    expect(differentiable.filter((op) => !compared.has(op))).toEqual([]);
  });

  it('gives at least as many operators a gradient as before', () => {
    expect(differentiable.length).toBeGreaterThanOrEqual(differentiableAtLeast);
  });
});
