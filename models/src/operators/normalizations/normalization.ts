/** Normalizations: https://onnx.ai/onnx/operators/ */
import { sameType } from '../elementwise.js';
import { operator, sizeOf, type Known, type OperatorRows, type Site } from '../operator.js';
import { batchNormalizationGradient, inferBatchNormalization } from './batch.js';
import { localResponseGradient, lpNormalizationGradient, meanVarianceGradient } from './by-norm.js';
import { groupNormalizationGradient, instanceNormalizationGradient } from './group.js';
import { inferLayerNormalization, layerNormalizationGradient } from './layer.js';

const perElement =
  (count: number) =>
  (_: Site, [y]: readonly Known[]): number =>
    count * sizeOf(y);

export const normalizationOperators: OperatorRows = {
  BatchNormalization: operator({
    infer: inferBatchNormalization,
    gradient: batchNormalizationGradient,
    flops: perElement(2),
  }),
  GroupNormalization: operator({ infer: sameType, gradient: groupNormalizationGradient, flops: perElement(8) }),
  InstanceNormalization: operator({ infer: sameType, gradient: instanceNormalizationGradient, flops: perElement(8) }),
  LayerNormalization: operator({
    infer: inferLayerNormalization,
    gradient: layerNormalizationGradient,
    flops: perElement(8),
  }),
  LpNormalization: operator({ infer: sameType, gradient: lpNormalizationGradient, flops: perElement(4) }),
  LRN: operator({ infer: sameType, gradient: localResponseGradient, flops: perElement(12) }),
  MeanVarianceNormalization: operator({ infer: sameType, gradient: meanVarianceGradient, flops: perElement(8) }),
};
