/**
 * From a model to the graph of one training step: forward, loss, backward, update.
 * An ordinary ONNX graph of standard operators; weights and optimizer state go in and come out.
 */
import { GraftError } from '@graft/core/error';
import type { Tensor, Weights } from '@graft/core/tensor';

import type { Dimension, Graph, Model, Value } from '../graph/graph.js';
import { GraphBuilder } from '../operators/graph-builder.js';
import { declarationsOf } from '../operators/infer-shapes.js';
import type { TypeScope } from '../operators/type-scope.js';
import { differentiate } from './differentiate.js';
import { fixedSizeOf } from './fixed-size.js';
import { softmaxCrossEntropy, type LossSpec } from './loss.js';
import { addForward } from './forward.js';
import type { OptimizerSpec } from './optimizer.js';
import { addUpdates, type Slot } from './updates.js';

export interface TrainingStepOptions {
  /** Names of float32 weights. */
  readonly trainable: readonly string[];
  readonly loss: LossSpec;
  readonly optimizer: OptimizerSpec;
  /** The shape of the model's input with its batch, where the graph does not declare it; the batch may be a symbol. */
  readonly inputShape?: readonly Dimension[];
}

/** A model (graph and frozen weights, to be loaded for 'training') and how to feed it. */
export interface TrainingStep extends Model {
  /** The input that takes a batch [N, ...]. */
  readonly features: string;
  /** int32 [N], each below `classes`. */
  readonly labels: string;
  readonly classes: number;
  /** float32 scalars, see stepScalars. */
  readonly rate: string;
  /** Absent where the optimizer has none. */
  readonly epsilon?: string;
  /** Output: the mean loss of the batch before the update. */
  readonly loss: string;
  /** By trainable name. */
  readonly weightSlots: ReadonlyMap<string, Slot>;
  /** Optimizer state, one flat vector each, zeros before the first step. */
  readonly stateSlots: readonly Slot[];
  readonly optimizer: OptimizerSpec;
}

const names = { labels: 'train/labels', rate: 'train/rate', epsilon: 'train/epsilon' } as const;

/**
 * Throws TENSOR_UNKNOWN for a trainable name that is no weight, NOT_DIFFERENTIABLE where a node on the way has no gradient or a weight
 * does not reach the loss, MODEL_UNSUPPORTED for an operator without a row, a shape that is not known, or a model without one input and 'logits'.
 */
export function buildTrainingStep(model: Model, options: TrainingStepOptions): TrainingStep {
  const { trainable, optimizer } = options;
  const input = onlyInput(model.graph);
  const scope = declarationsOf(model, options.inputShape === undefined ? {} : { [input.name]: options.inputShape });
  const build = new GraphBuilder(scope, 'train/');
  addForward(model.graph.nodes, build);
  const forward = [...build.nodes];
  const batch = scope.shapeOf(input.name)[0] ?? 'batch';
  scope.declare(names.labels, { dtype: 'int32', shape: [batch] });
  scope.declare(names.rate, { dtype: 'float32', shape: [] });
  scope.declare(names.epsilon, { dtype: 'float32', shape: [] });
  const { loss, gradient } = softmaxCrossEntropy('logits', names.labels, build);
  const seeds = new Map([['logits', gradient]]);
  const shapes = new Map(trainable.map((name) => [name, trainableShape(model.graph, scope, name)]));
  const gradients = differentiate({ nodes: forward, scope, seeds, wanted: trainable }, build);
  const { weightSlots, stateSlots } = addUpdates({ shapes, gradients, optimizer, scalars: names }, build);
  const float = (name: string, shape: readonly Dimension[]): Value => ({ name, dtype: 'float32', shape });
  const slots = [...weightSlots.values(), ...stateSlots];
  const used = new Set(build.nodes.flatMap(({ inputs }) => inputs));
  const frozen = model.graph.weights.filter(({ name }) => !shapes.has(name) && used.has(name));
  const usesEpsilon = optimizer.kind === 'adam';
  return {
    graph: {
      name: `${model.graph.name}: training step`,
      inputs: [
        { ...input, shape: scope.shapeOf(input.name) },
        { name: names.labels, dtype: 'int32', shape: [batch] },
        float(names.rate, []),
        ...(usesEpsilon ? [float(names.epsilon, [])] : []),
        ...slots.map((slot) => float(slot.input, slot.shape)),
      ],
      outputs: [float(loss, []), ...slots.map((slot) => float(slot.output, slot.shape))],
      weights: [...frozen, ...[...build.constants].map(([name, { dtype, shape }]) => ({ name, dtype, shape }))],
      nodes: build.nodes,
    },
    weights: frozenWeights(model.weights, frozen, build.constants),
    features: input.name,
    labels: names.labels,
    classes: fixedSizeOf(scope.shapeOf('logits').at(-1), 'classes'),
    rate: names.rate,
    ...(usesEpsilon && { epsilon: names.epsilon }),
    loss,
    weightSlots,
    stateSlots,
    optimizer,
  };
}

function onlyInput(graph: Graph): Value {
  const [input] = graph.inputs;
  if (input === undefined || graph.inputs.length !== 1 || !graph.outputs.some(({ name }) => name === 'logits')) {
    const [inputs, outputs] = [graph.inputs, graph.outputs].map((values) => values.map(({ name }) => name).join(', '));
    throw new GraftError(
      'MODEL_UNSUPPORTED',
      `training needs one input and the output 'logits'; the model has ${inputs} and ${outputs}`,
    );
  }
  return input;
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
