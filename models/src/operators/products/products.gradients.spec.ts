import { describeGradients } from '../central-differences.contract.js';
import { einsumCases, einsumReferences } from './einsum.cases.contract.js';
import { matmulCases, matmulReferences } from './matmul.cases.contract.js';

describeGradients('matrix products', matmulCases, matmulReferences);
describeGradients('Einsum', einsumCases, einsumReferences);
