import { matmulCases, matmulReferences } from './matmul.cases.contract.js';
import { describeGradients } from './central-differences.contract.js';

describeGradients('matrix products', matmulCases, matmulReferences);
