/** The rewrites of a model that training asks for, before its graph is differentiated. */
import { GraftError } from '@graft/core/error';
import type { Weights } from '@graft/core/tensor';

import { namesRead } from '../../graph/captures.js';
import type { Model, Node } from '../../graph/graph.js';
import { declarationsOf } from '../../operators/infer-shapes.js';
import { seedName, withDropout } from '../dropout/dropout.js';
import { withBatchStatistics, type Normalization } from '../rewrites/batch-norm.js';
import { withFloat16 } from '../rewrites/float16.js';
import { withLora } from '../rewrites/lora.js';
import { withPartProducts } from '../rewrites/part-products.js';
import { trainableNames } from './trainable.js';
import type { TrainingStepOptions } from '../training-step.js';

export interface PreparedModel {
  readonly model: Model;
  readonly trainable: readonly string[];
  /** Trainable weights that the model did not have. */
  readonly added: Weights;
  readonly normalizations: readonly Normalization[];
  /** Whether the graph reads the scalar `seedName`. */
  readonly seeded: boolean;
}

/** In this order: LoRA, products in parts, batch normalization, dropout, float16. Throws TENSOR_UNKNOWN where nothing is trained, MODEL_UNSUPPORTED for a model that was exported in training mode, and what the rewrites throw. */
export function prepareModel(original: Model, options: TrainingStepOptions): PreparedModel {
  const { lora, inputShapes = {} } = options;
  const { model: adapted, factors } =
    lora === undefined ? { model: original, factors: new Map() } : withLora(original, lora);
  const trainable = [...trainableNames(original, options.trainable), ...factors.keys()];
  refuseTrainingMode(original, options);
  if (trainable.length === 0) throw new GraftError('TENSOR_UNKNOWN', 'no weight is to be trained');
  const { model: normalized, normalizations } = withBatchStatistics(
    withPartProducts(adapted),
    options.batchNorm ?? 'frozen',
  );
  const dropped = options.dropout === undefined ? normalized : withDropout(normalized, options.dropout, inputShapes);
  const seeded = dropped.graph.nodes.some((node) => namesRead(node).includes(seedName));
  return {
    model: options.precision === 'float16' ? halved(dropped, inputShapes) : dropped,
    trainable,
    added: factors,
    normalizations,
    seeded,
  };
}

function halved(model: Model, inputShapes: NonNullable<TrainingStepOptions['inputShapes']>): Model {
  const scope = declarationsOf(model, inputShapes);
  scope.declare(seedName, { dtype: 'float32', shape: [] });
  for (const node of model.graph.nodes) scope.infer(node);
  return withFloat16(model, scope);
}

/**
 * A node that was exported in training mode normalises by the batch, or drops at random by a seed of the runtime's own, also when the
 * model answers: neither is what frozen statistics and no dropout mean, and the second has other bits each time.
 */
function refuseTrainingMode({ graph, weights }: Model, { batchNorm = 'frozen', dropout }: TrainingStepOptions): void {
  for (const node of graph.nodes) {
    const { op, domain, inputs, attributes } = node;
    if (domain !== '') continue;
    const normalises = op === 'BatchNormalization' && attributes['training_mode']?.value === 1;
    if (normalises && batchNorm === 'frozen') throw inTrainingMode(node, "batchNorm 'local' or a momentum");
    const flag = weights.get(inputs[2] ?? '');
    if (op !== 'Dropout' || dropout !== undefined || flag?.data[0] !== 1) continue;
    throw inTrainingMode(node, 'dropout, whose masks come from the seed');
  }
}

function inTrainingMode({ name, op }: Node, option: string): GraftError {
  return new GraftError(
    'MODEL_UNSUPPORTED',
    `node '${name}' (${op}) was exported in training mode; export the model in inference mode, or train with ${option}`,
    { details: { node: name, op } },
  );
}
