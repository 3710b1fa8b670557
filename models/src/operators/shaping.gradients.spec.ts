import { shapingCases, shapingReferences } from './shaping.cases.contract.js';
import { describeGradients } from './central-differences.contract.js';

describeGradients('operators that give numbers another shape', shapingCases, shapingReferences);
