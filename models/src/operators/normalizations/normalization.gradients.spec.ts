import { describeGradients } from '../central-differences.contract.js';
import { normalizationCases, normalizationReferences } from './normalization.cases.contract.js';

describeGradients('normalizations', normalizationCases, normalizationReferences);
