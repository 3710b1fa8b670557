/**
 * From a model to the graph of one training step: forward, loss, backward, update.
 * An ordinary ONNX graph of standard operators; weights and optimizer state go in and come out.
 */
import { GraftError } from '@graft/core/error';

import type { Graph, Model, Node, Value } from '../graph/graph.js';
import { castTo } from '../operators/broadcast.js';
import { GraphBuilder } from '../operators/graph-builder.js';
import { declarationsOf } from '../operators/infer-shapes.js';
import type { TypeScope } from '../operators/type-scope.js';
import { assembledStep } from './assembly/assemble-step.js';
import { differentiate } from './differentiate.js';
import { seedName } from './dropout/dropout.js';
import { fixedSizeOf } from './fixed-size.js';
import { addForward } from './forward.js';
import { addLoss } from './losses/add-loss.js';
import { lossSpecOf } from './losses/loss-spec.js';
import type { Loss } from './losses/loss.js';
import { addMetrics } from './metrics/metrics.js';
import { prepareModel, type PreparedModel } from './assembly/prepare-model.js';
import { referencesOf } from './regularizers/weight-terms.js';
import { addForgetting, declareTeachers } from './regularizers/without-forgetting.js';
import { addRunningStatistics, leastRowsOf } from './rewrites/batch-norm.js';
import { declareScalars, declareTargets, ignoredLabelOf, outputOf } from './assembly/step-inputs.js';
import type { ScalarRole, Slot, TargetInput, TrainingStep, TrainingStepOptions } from './training-step.js';
import { addUpdates, type Updates } from './optimizers/updates.js';

/**
 * Throws TENSOR_UNKNOWN for a trainable name that is no weight, NOT_DIFFERENTIABLE where a node on the way has no gradient or a weight
 * does not reach the loss, GRADIENT_MISSING where its gradient is not written yet, MODEL_UNSUPPORTED for an operator without a row,
 * a shape that is not known, or options that do not fit the model.
 */
export function buildTrainingStep(model: Model, options: TrainingStepOptions): TrainingStep {
  const output = outputOf(model.graph, options.output);
  const prepared = prepareModel(model, options);
  const scope = declarationsOf(prepared.model, options.inputShapes);
  if (prepared.seeded) scope.declare(seedName, { dtype: 'float32', shape: [] });
  const build = new GraphBuilder(scope, 'train/', options.lowering);
  const nodes = addForward(prepared.model.graph.nodes, build);
  const leastRows = leastRowsOf(prepared.normalizations, scope);
  const scalars = declareScalars(options, prepared.seeded, build);
  const { loss, targets, seeds } = addObjective(output, { options, scalars }, build);
  const labels = targets.find(({ role, dtype }) => role === 'labels' && dtype === 'int32')?.name;
  const metrics = addMetrics(options.metrics ?? [], { output, labels, loss }, build);
  const updates = addBackward({ prepared, options, scalars, nodes, seeds, scope }, build);
  const step = {
    inputs: model.graph.inputs.map((input) => typed(scope, input)),
    targets,
    scalars,
    references: updates.references,
    classes: fixedSizeOf(scope.shapeOf(output).at(-1), `classes of '${output}'`),
    leastRows,
    ...ignoredLabelOf(options.loss),
    loss: loss.loss,
    metrics,
    ...(updates.finite !== undefined && { finite: castTo(updates.finite, 'float32', build) }),
    weightSlots: updates.weightSlots,
    stateSlots: updates.stateSlots,
    statisticSlots: statisticsOf(prepared, options, build),
    added: prepared.added,
    optimizer: options.optimizer,
  };
  return assembledStep(step, { model: prepared.model, build });
}

type Scalars = Readonly<Partial<Record<ScalarRole, string>>>;

/** The loss with its targets, and the gradients by the outputs, times the loss scale. */
function addObjective(
  output: string,
  { options, scalars }: { options: TrainingStepOptions; scalars: Scalars },
  build: GraphBuilder,
): { loss: Loss; targets: TargetInput[]; seeds: Map<string, string> } {
  const spec = lossSpecOf(options.loss);
  const targets = declareTargets(output, spec, build);
  const names = Object.fromEntries(targets.map(({ role, name }) => [role, name]));
  const loss = addLoss(spec, { output, targets: names }, build);
  const seeds = new Map([[output, loss.gradient]]);
  const teachers = declareTeachers(options.regularizers ?? [], output, build);
  addForgetting(teachers, { gradients: seeds, coefficient: scalars.distillation ?? '' }, build);
  const { lossScale } = scalars;
  if (lossScale !== undefined) {
    for (const [name, gradient] of seeds) seeds.set(name, build.add('Mul', [gradient, lossScale]));
  }
  return { loss, targets: [...targets, ...teachers.map(({ target }) => target)], seeds };
}

interface Backward {
  readonly prepared: PreparedModel;
  readonly options: TrainingStepOptions;
  readonly scalars: Scalars;
  readonly nodes: readonly Node[];
  readonly seeds: ReadonlyMap<string, string>;
  readonly scope: TypeScope;
}

function addBackward(given: Backward, build: GraphBuilder): Updates & Pick<TrainingStep, 'references'> {
  const { prepared, options, scalars, nodes, seeds, scope } = given;
  const { regularizers = [], optimizer, clipNorm, accumulate } = options;
  const { trainable } = prepared;
  const shapes = new Map(trainable.map((name) => [name, trainableShape(prepared.model.graph, scope, name)]));
  const gradients = differentiate({ nodes, scope, seeds, wanted: trainable }, build);
  const references = referencesOf(regularizers, shapes);
  for (const { input, shape } of references) build.declare(input, { dtype: 'float32', shape });
  const terms = { regularizers, references, scalars };
  const more = { ...(clipNorm !== undefined && { clipNorm }), ...(accumulate !== undefined && { accumulate }) };
  return { ...addUpdates({ shapes, gradients, optimizer, scalars, terms, ...more }, build), references };
}

function statisticsOf(
  { normalizations }: PreparedModel,
  { batchNorm }: TrainingStepOptions,
  build: GraphBuilder,
): Map<string, Slot> {
  return typeof batchNorm === 'object' ? addRunningStatistics(normalizations, batchNorm.momentum, build) : new Map();
}

function typed(scope: TypeScope, { name }: Value): Value {
  const { dtype, shape } = scope.of(name);
  return { name, dtype, ...(shape && { shape }) };
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
