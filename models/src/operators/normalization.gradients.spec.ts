import { normalizationCases, normalizationReferences } from './normalization.cases.contract.js';
import { describeGradients } from './central-differences.contract.js';

describeGradients('normalization', normalizationCases, normalizationReferences);
