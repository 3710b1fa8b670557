import { describeGradients } from '../central-differences.contract.js';
import { selectionCases, selectionReferences } from './selection.cases.contract.js';

describeGradients('selection', selectionCases, selectionReferences);
