import { describeGradients } from '../central-differences.contract.js';
import { poolCases, poolReferences } from './pool.cases.contract.js';

describeGradients('pools', poolCases, poolReferences);
