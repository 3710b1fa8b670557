/** The kernel table: every ONNX operator that the runtime tfjs executes. A new operator is a new row of its family. */
import type { Kernels } from '../kernel.js';
import { activationKernels } from './pointwise/activations.js';
import { arithmeticKernels } from './pointwise/arithmetic.js';
import { controlFlowKernels } from './control-flow.js';
import { convKernels } from './layers/conv.js';
import { einsumKernels } from './layers/einsum.js';
import { elementwiseKernels } from './pointwise/elementwise.js';
import { gatheringKernels } from './moving/gathering.js';
import { gridKernels } from './sampling/grid.js';
import { lossKernels } from './losses.js';
import { matmulKernels } from './layers/matmul.js';
import { normalizationKernels } from './layers/normalization.js';
import { orderingKernels } from './moving/ordering.js';
import { paddingKernels } from './moving/padding.js';
import { poolKernels } from './layers/pool.js';
import { quantizationKernels } from './quantization.js';
import { recurrentKernels } from './layers/recurrent.js';
import { reductionKernels } from './reductions.js';
import { resizeKernels } from './sampling/resize.js';
import { scatteringKernels } from './moving/scattering.js';
import { selectingKernels } from './moving/selecting.js';
import { shapingKernels } from './moving/shaping.js';
import { slicingKernels } from './moving/slicing.js';
import { softmaxKernels } from './softmax.js';

export const kernelTable: Kernels = {
  ...activationKernels,
  ...arithmeticKernels,
  ...controlFlowKernels,
  ...convKernels,
  ...einsumKernels,
  ...elementwiseKernels,
  ...gatheringKernels,
  ...gridKernels,
  ...lossKernels,
  ...matmulKernels,
  ...normalizationKernels,
  ...orderingKernels,
  ...paddingKernels,
  ...poolKernels,
  ...quantizationKernels,
  ...recurrentKernels,
  ...reductionKernels,
  ...resizeKernels,
  ...scatteringKernels,
  ...selectingKernels,
  ...shapingKernels,
  ...slicingKernels,
  ...softmaxKernels,
};
