import { describeGradients } from '../central-differences.contract.js';
import { resizeCases, resizeReferences } from './resize.cases.contract.js';

describeGradients('Resize', resizeCases, resizeReferences);
