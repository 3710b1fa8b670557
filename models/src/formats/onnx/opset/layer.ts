/** Convolution, pooling, products, recurrent layers: only types and options with a default have been added. */
import { wholePower, withoutBroadcast, withoutSequenceFlag } from './early.js';
import type { Family } from './history.js';

export const layer: Family = {
  AveragePool: { versions: [1, 7, 10, 11, 19, 22] },
  Conv: { versions: [1, 11, 22] },
  ConvInteger: { versions: [10] },
  ConvTranspose: { versions: [1, 11, 22] },
  Einsum: { versions: [12] },
  GRU: { versions: [1, 3, 7, 14, 22], into: { 7: withoutSequenceFlag } },
  Gemm: { versions: [1, 6, 7, 9, 11, 13], into: { 7: withoutBroadcast } },
  GlobalAveragePool: { versions: [1, 22] },
  GlobalLpPool: { versions: [1, 2, 22], into: { 2: wholePower } },
  GlobalMaxPool: { versions: [1, 22] },
  LSTM: { versions: [1, 7, 14, 22], into: { 7: withoutSequenceFlag } },
  LpPool: { versions: [1, 2, 11, 18, 22], into: { 2: wholePower } },
  MatMul: { versions: [1, 9, 13] },
  MatMulInteger: { versions: [10] },
  MaxPool: { versions: [1, 8, 10, 11, 12, 22] },
  NegativeLogLikelihoodLoss: { versions: [12, 13, 22] },
  RNN: { versions: [1, 7, 14, 22], into: { 7: withoutSequenceFlag } },
  SoftmaxCrossEntropyLoss: { versions: [12, 13] },
};
