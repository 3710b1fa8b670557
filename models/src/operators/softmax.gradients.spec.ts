import { softmaxCases, softmaxReferences } from './softmax.cases.contract.js';
import { describeGradients } from './central-differences.contract.js';

describeGradients('softmax and its kin', softmaxCases, softmaxReferences);
