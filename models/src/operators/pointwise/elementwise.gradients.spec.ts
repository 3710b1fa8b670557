import { elementwiseCases, elementwiseReferences } from './elementwise.cases.contract.js';
import { describeGradients } from '../central-differences.contract.js';

describeGradients('functions of one tensor', elementwiseCases, elementwiseReferences);
