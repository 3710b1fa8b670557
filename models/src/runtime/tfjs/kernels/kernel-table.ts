/** The kernel table: every ONNX operator that the runtime tfjs executes. A new operator is a new row of its family. */
import type { Kernels } from '../kernel.js';
import { activationKernels } from './activations.js';
import { arithmeticKernels } from './arithmetic.js';
import { elementwiseKernels } from './elementwise.js';
import { matmulKernels } from './matmul.js';
import { reductionKernels } from './reductions.js';
import { shapingKernels } from './shaping.js';
import { softmaxKernels } from './softmax.js';

export const kernelTable: Kernels = {
  ...activationKernels,
  ...arithmeticKernels,
  ...elementwiseKernels,
  ...matmulKernels,
  ...reductionKernels,
  ...shapingKernels,
  ...softmaxKernels,
};
