/**
 * From a model to the graph of one training step: forward, loss, backward, update.
 * An ordinary ONNX graph of standard operators; weights and optimizer state go in and come out.
 */
import { GraftError } from '@graft/core/error';
import type { Tensor, Weights } from '@graft/core/tensor';

import type { Graph, Model, Value } from '../graph/graph.js';
import { GraphBuilder } from '../operators/graph-builder.js';
import { declarationsOf } from '../operators/infer-shapes.js';
import type { TypeScope } from '../operators/type-scope.js';
import { differentiate } from './differentiate.js';
import { fixedSizeOf } from './fixed-size.js';
import { addForward } from './forward.js';
import { addLoss, targetTypes } from './losses/add-loss.js';
import { lossSpecOf, type LossSpec } from './losses/loss-spec.js';
import { scalarsOf } from './optimizers/step-scalars.js';
import { coefficientsOf, referencesOf } from './regularizers/weight-terms.js';
import type { ScalarRole, Slot, TargetInput, TrainingStep, TrainingStepOptions } from './training-step.js';
import { addUpdates, type Updates } from './updates.js';

/**
 * Throws TENSOR_UNKNOWN for a trainable name that is no weight, NOT_DIFFERENTIABLE where a node on the way has no gradient or a weight
 * does not reach the loss, GRADIENT_MISSING where its gradient is not written yet, MODEL_UNSUPPORTED for an operator without a row,
 * a shape that is not known, or options that do not fit the model.
 */
export function buildTrainingStep(model: Model, options: TrainingStepOptions): TrainingStep {
  const { graph } = model;
  const output = outputOf(graph, options.output);
  const scope = declarationsOf(model, options.inputShapes);
  const build = new GraphBuilder(scope, 'train/', options.lowering);
  addForward(graph.nodes, build);
  const forward = [...build.nodes];
  const targets = declareTargets(output, options, build);
  const scalars = declareScalars(options, build);
  const { loss, gradient } = addLoss(
    lossSpecOf(options.loss),
    { output, targets: Object.fromEntries(targets.map(({ role, name }) => [role, name])) },
    build,
  );
  const trainable = options.trainable as readonly string[];
  const shapes = new Map(trainable.map((name) => [name, trainableShape(graph, scope, name)]));
  const seeds = new Map([[output, gradient]]);
  const gradients = differentiate({ nodes: forward, scope, seeds, wanted: trainable }, build);
  const { regularizers = [], optimizer, clipNorm, accumulate } = options;
  const references = referencesOf(regularizers, shapes);
  for (const { input, shape } of references) build.declare(input, { dtype: 'float32', shape });
  const updates = addUpdates(
    {
      ...{ shapes, gradients, optimizer, scalars, terms: { regularizers, references, scalars } },
      ...(clipNorm !== undefined && { clipNorm }),
      ...(accumulate !== undefined && { accumulate }),
    },
    build,
  );
  const inputs = graph.inputs.map((input) => ({ ...input, ...shapeIn(scope, input) }));
  return {
    ...assembled({ model, build, inputs, targets, scalars, references, loss, updates }),
    ...{ inputs, targets, scalars, references, loss, optimizer },
    classes: fixedSizeOf(scope.shapeOf(output).at(-1), 'classes'),
    leastRows: 1,
    ...ignoredLabelOf(lossSpecOf(options.loss)),
    metrics: [],
    weightSlots: updates.weightSlots,
    stateSlots: updates.stateSlots,
    statisticSlots: new Map(),
    added: new Map(),
  };
}

function ignoredLabelOf(loss: LossSpec): Pick<TrainingStep, 'ignoredLabel'> {
  return loss.kind === 'softmax-cross-entropy' && loss.ignoreIndex !== undefined
    ? { ignoredLabel: loss.ignoreIndex }
    : {};
}

/** The output that the loss is of. */
function outputOf({ outputs }: Graph, wanted: string | undefined): string {
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

function declareTargets(output: string, options: TrainingStepOptions, build: GraphBuilder): TargetInput[] {
  const types = targetTypes(lossSpecOf(options.loss), { dtype: 'float32', shape: build.shapeOf(output) });
  const targets = [...types].map(([role, type]): TargetInput => ({ name: `train/${role}`, role, of: output, ...type }));
  for (const target of targets) build.declare(target.name, target);
  return targets;
}

function declareScalars(options: TrainingStepOptions, build: GraphBuilder): Partial<Record<ScalarRole, string>> {
  const roles: ScalarRole[] = [
    ...scalarsOf(options.optimizer),
    ...coefficientsOf(options.regularizers ?? []),
    ...(options.accumulate === true ? (['share', 'apply'] as const) : []),
  ];
  for (const role of roles) build.declare(`train/${role}`, { dtype: 'float32', shape: [] });
  return Object.fromEntries(roles.map((role) => [role, `train/${role}`]));
}

function shapeIn(scope: TypeScope, { name }: Value): Pick<Value, 'shape'> {
  const { shape } = scope.of(name);
  return shape === undefined ? {} : { shape };
}

type Parts = Pick<TrainingStep, 'inputs' | 'targets' | 'scalars' | 'references' | 'loss'> & {
  readonly model: Model;
  readonly build: GraphBuilder;
  readonly updates: Updates;
};

/** The graph with the weights that stay as they are. */
function assembled({ model, build, inputs, targets, scalars, references, loss, updates }: Parts): Model {
  const float = (name: string, shape: readonly number[] = []): Value => ({ name, dtype: 'float32', shape });
  const slots: Slot[] = [...updates.weightSlots.values(), ...updates.stateSlots];
  const used = new Set(build.nodes.flatMap((node) => node.inputs));
  const trained = new Set(updates.weightSlots.keys());
  const frozen = model.graph.weights.filter(({ name }) => !trained.has(name) && used.has(name));
  return {
    graph: {
      name: `${model.graph.name}: training step`,
      inputs: [
        ...inputs,
        ...targets.map(({ name, dtype, shape }): Value => ({ name, dtype, ...(shape && { shape }) })),
        ...Object.values(scalars).map((name) => float(name)),
        ...references.map(({ input, shape }) => float(input, shape)),
        ...slots.map(({ input, shape }) => float(input, shape)),
      ],
      outputs: [float(loss), ...slots.map((slot) => float(slot.output, slot.shape))],
      weights: [...frozen, ...[...build.constants].map(([name, { dtype, shape }]) => ({ name, dtype, shape }))],
      nodes: build.nodes,
    },
    weights: frozenWeights(model.weights, frozen, build.constants),
  };
}

function trainableShape(graph: Graph, scope: TypeScope, name: string): number[] {
  if (!graph.weights.some((weight) => weight.name === name)) {
    throw new GraftError('TENSOR_UNKNOWN', `the model has no weight '${name}' to train`);
  }
  const { dtype } = scope.of(name);
  if (dtype !== 'float32')
    throw new GraftError('MODEL_UNSUPPORTED', `weight '${name}' is ${dtype}; only float32 can be trained`);
  return scope.shapeOf(name).map((size) => fixedSizeOf(size, `elements of '${name}'`));
}

function frozenWeights(weights: Weights, frozen: readonly Value[], constants: Weights): Map<string, Tensor> {
  const kept = frozen.flatMap(({ name }) => {
    const value = weights.get(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  return new Map([...kept, ...constants]);
}
