import { activationsCases, activationsReferences } from './activations.cases.contract.js';
import { describeGradients } from '../central-differences.contract.js';

describeGradients('activations', activationsCases, activationsReferences);
