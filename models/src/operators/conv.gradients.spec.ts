import { convCases, convReferences } from './conv.cases.contract.js';
import { describeGradients } from './central-differences.contract.js';

describeGradients('convolutions', convCases, convReferences);
