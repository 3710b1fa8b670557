/** What a training step reads beside the model's own inputs: targets and scalars, by the options. */
import { GraftError } from '@graft/core/error';

import type { Graph } from '../../graph/graph.js';
import type { GraphBuilder } from '../../operators/graph-builder.js';
import { targetTypes } from '../losses/add-loss.js';
import { lossSpecOf, type LossSpec } from '../losses/loss-spec.js';
import { scalarsOf } from '../optimizers/step-scalars.js';
import { coefficientsOf } from '../regularizers/weight-terms.js';
import type { ScalarRole, TargetInput, TrainingStep, TrainingStepOptions } from '../training-step.js';

/** The output that the loss is of: the one asked for, 'logits', or the only one. Throws MODEL_UNSUPPORTED. */
export function outputOf({ outputs }: Graph, wanted: string | undefined): string {
  const names = outputs.map(({ name }) => name);
  const found = names.find((name) => name === (wanted ?? 'logits'));
  if (found !== undefined) return found;
  const [only] = names;
  if (wanted === undefined && only !== undefined && names.length === 1) return only;
  throw new GraftError(
    'MODEL_UNSUPPORTED',
    `training needs the output '${wanted ?? 'logits'}'; the model has ${names.map((name) => `'${name}'`).join(', ')}`,
  );
}

/** Declares the targets of the loss. Throws MODEL_UNSUPPORTED where the output is not float32. */
export function declareTargets(output: string, loss: LossSpec, build: GraphBuilder): TargetInput[] {
  const { dtype } = build.typeOf(output);
  if (dtype !== 'float32') {
    throw new GraftError('MODEL_UNSUPPORTED', `the output '${output}' is ${dtype}; a loss needs float32`);
  }
  const types = targetTypes(loss, { dtype, shape: build.shapeOf(output) });
  const targets = [...types].map(([role, type]): TargetInput => ({ name: `train/${role}`, role, of: output, ...type }));
  for (const { name, dtype: element, shape = [] } of targets) build.declare(name, { dtype: element, shape });
  return targets;
}

/** Declares the scalars that the options ask for. */
export function declareScalars(
  options: TrainingStepOptions,
  seeded: boolean,
  build: GraphBuilder,
): Partial<Record<ScalarRole, string>> {
  const roles: ScalarRole[] = [
    ...scalarsOf(options.optimizer),
    ...coefficientsOf(options.regularizers ?? []),
    ...(options.accumulate === true ? (['share', 'apply'] as const) : []),
    ...(options.precision === 'float16' ? (['lossScale'] as const) : []),
    ...(seeded ? (['seed'] as const) : []),
  ];
  for (const role of roles) build.declare(`train/${role}`, { dtype: 'float32', shape: [] });
  return Object.fromEntries(roles.map((role) => [role, `train/${role}`]));
}

/** The label that counts for nothing, where the loss has one. */
export function ignoredLabelOf(loss: TrainingStepOptions['loss']): Pick<TrainingStep, 'ignoredLabel'> {
  const spec = lossSpecOf(loss);
  return spec.kind === 'softmax-cross-entropy' && spec.ignoreIndex !== undefined
    ? { ignoredLabel: spec.ignoreIndex }
    : {};
}
