import { poolCases, poolReferences } from './pool.cases.contract.js';
import { describeGradients } from './central-differences.contract.js';

describeGradients('pools', poolCases, poolReferences);
