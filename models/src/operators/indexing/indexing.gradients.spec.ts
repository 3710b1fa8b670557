import { describeGradients } from '../central-differences.contract.js';
import { indexingCases } from './indexing.cases.contract.js';
import { indexingReferences } from './indexing.references.contract.js';

describeGradients('operators that take tensors apart and put them together', indexingCases, indexingReferences);
