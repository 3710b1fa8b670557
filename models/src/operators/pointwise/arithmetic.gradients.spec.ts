import { arithmeticCases, arithmeticReferences } from './arithmetic.cases.contract.js';
import { describeGradients } from '../central-differences.contract.js';

describeGradients('arithmetic that broadcasts', arithmeticCases, arithmeticReferences);
