import { describeGradients } from '../central-differences.contract.js';
import { classificationLossCases, classificationLossReferences } from './classification.cases.contract.js';
import { softmaxCases, softmaxReferences } from './softmax.cases.contract.js';

describeGradients('softmax', softmaxCases, softmaxReferences);
describeGradients('classification losses', classificationLossCases, classificationLossReferences);
