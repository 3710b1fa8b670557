import { reductionsCases, reductionsReferences } from './reductions.cases.contract.js';
import { describeGradients } from './central-differences.contract.js';

describeGradients('reductions', reductionsCases, reductionsReferences);
