import { describeGradients } from '../central-differences.contract.js';
import { shapingCases, shapingReferences } from './shaping.cases.contract.js';

describeGradients('operators that give numbers another shape', shapingCases, shapingReferences);
