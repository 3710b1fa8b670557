import { indexingCases, indexingReferences } from './indexing.cases.contract.js';
import { describeGradients } from '../central-differences.contract.js';

describeGradients('operators that take tensors apart and put them together', indexingCases, indexingReferences);
