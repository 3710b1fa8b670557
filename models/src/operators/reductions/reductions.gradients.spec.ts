import { describeGradients } from '../central-differences.contract.js';
import { reductionsCases, reductionsReferences } from './reductions.cases.contract.js';

describeGradients('reductions', reductionsCases, reductionsReferences);
