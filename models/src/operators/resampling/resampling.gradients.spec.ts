import { describeGradients } from '../central-differences.contract.js';
import { gridCases, gridReferences } from './grid.cases.contract.js';
import { resizeCases, resizeReferences } from './resize.cases.contract.js';

describeGradients('Resize', resizeCases, resizeReferences);
describeGradients('grids and blocks', gridCases, gridReferences);
