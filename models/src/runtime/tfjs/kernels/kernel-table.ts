/** The kernel table: every ONNX operator that the runtime tfjs executes. A new operator is a new row of its family. */
import type { Kernels } from '../kernel.js';
import { activationKernels } from './activations.js';
import { arithmeticKernels } from './arithmetic.js';
import { convKernels } from './conv.js';
import { elementwiseKernels } from './elementwise.js';
import { indexingKernels } from './indexing.js';
import { matmulKernels } from './matmul.js';
import { normalizationKernels } from './normalization.js';
import { paddingKernels } from './padding.js';
import { poolKernels } from './pool.js';
import { reductionKernels } from './reductions.js';
import { resizeKernels } from './resize.js';
import { shapingKernels } from './shaping.js';
import { softmaxKernels } from './softmax.js';

export const kernelTable: Kernels = {
  ...activationKernels,
  ...arithmeticKernels,
  ...convKernels,
  ...elementwiseKernels,
  ...indexingKernels,
  ...matmulKernels,
  ...normalizationKernels,
  ...paddingKernels,
  ...poolKernels,
  ...reductionKernels,
  ...resizeKernels,
  ...shapingKernels,
  ...softmaxKernels,
};
