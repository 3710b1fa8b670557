import { describeGradients } from '../central-differences.contract.js';
import { recurrentCases, recurrentReferences } from './recurrent.cases.contract.js';

describeGradients('recurrent layers', recurrentCases, recurrentReferences);
