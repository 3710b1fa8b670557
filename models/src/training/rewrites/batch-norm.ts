/** BatchNormalization in training: https://onnx.ai/onnx/operators/onnx__BatchNormalization.html, Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167 */
import { GraftError } from '@graft/core/error';
import { tensor, type Tensor } from '@graft/core/tensor';

import type { Dimension, Model, Node, Value } from '../../graph/graph.js';
import { castTo } from '../../operators/broadcast.js';
import { knownCount } from '../../operators/dimension.js';
import type { GraphBuilder } from '../../operators/graph-builder.js';
import type { TypeScope } from '../../operators/type-scope.js';
import { fixedSizeOf } from '../fixed-size.js';
import type { BatchNormMode, Slot } from '../training-step.js';

/** A node in training form, and the weights that hold its running statistics. */
export interface Normalization {
  /** The input, [N, C, ...]. */
  readonly x: string;
  /** Values [C]: mean and biased variance of the batch. */
  readonly mean: string;
  readonly variance: string;
  readonly runningMean: string;
  readonly runningVariance: string;
}

export interface NormalizedModel {
  readonly model: Model;
  readonly normalizations: readonly Normalization[];
}

/**
 * The model with its BatchNormalization nodes in training form, unless they are frozen.
 * With a momentum of 0 the second and third result are mean and variance of the batch, whatever the running statistics are, and the runtime
 * writes them over the tensors that stand for those. So each node has two of its own, of numbers that no other constant has: the runtime
 * joins small constants that are equal, whatever their names, and then mean, variance or a constant of a gradient would be one.
 */
export function withBatchStatistics(model: Model, mode: BatchNormMode): NormalizedModel {
  if (mode === 'frozen') return { model, normalizations: [] };
  checkMomentum(mode);
  const normalizations: Normalization[] = [];
  const added = new Map<string, Tensor>();
  const nodes = model.graph.nodes.map((node): Node => {
    if (node.op !== 'BatchNormalization' || node.domain !== '') return node;
    const [x = '', scale = '', bias = '', runningMean = '', runningVariance = ''] = node.inputs;
    const [y = ''] = node.outputs;
    const prefix = `train/normalization.${normalizations.length}`;
    const [mean, variance] = [`${prefix}/mean`, `${prefix}/variance`];
    const channels = channelsOf(model, runningMean, node);
    for (const name of [mean, variance]) {
      added.set(`${name}.over`, tensor('float32', [channels], new Float32Array(channels).fill(Math.PI + added.size)));
    }
    normalizations.push({ x, mean, variance, runningMean, runningVariance });
    return {
      ...node,
      inputs: [x, scale, bias, `${mean}.over`, `${variance}.over`],
      outputs: [y, mean, variance],
      attributes: {
        ...node.attributes,
        training_mode: { kind: 'int', value: 1 },
        momentum: { kind: 'float', value: 0 },
      },
    };
  });
  const values = [...added].map(([name, { dtype, shape }]): Value => ({ name, dtype, shape }));
  const graph = { ...model.graph, nodes, weights: [...model.graph.weights, ...values] };
  return { model: { graph, weights: new Map([...model.weights, ...added]) }, normalizations };
}

function checkMomentum(mode: Exclude<BatchNormMode, 'frozen'>): void {
  if (mode === 'local' || (mode.momentum > 0 && mode.momentum <= 1)) return;
  throw new GraftError(
    'MODEL_UNSUPPORTED',
    `running statistics cannot move with momentum ${mode.momentum}; it must be above 0 and at most 1`,
  );
}

function channelsOf({ graph }: Model, name: string, node: Node): number {
  const weight = graph.weights.find((each) => each.name === name);
  if (weight === undefined) {
    throw new GraftError(
      'MODEL_UNSUPPORTED',
      `node '${node.name}' (BatchNormalization) computes its running statistics, so they cannot be trained`,
      { details: { node: node.name, op: node.op } },
    );
  }
  return fixedSizeOf(weight.shape?.[0], `channels of '${name}'`);
}

/** Places of a batch over which statistics are taken: 1 where the batch decides alone. */
const places = (shape: readonly Dimension[]): readonly Dimension[] => shape.slice(2);

/**
 * Rows that a batch needs at least: 2 where a node takes statistics over one place of each example, whose variance would be 0 for one.
 * Throws MODEL_UNSUPPORTED where the batch is fixed to less.
 */
export function leastRowsOf(normalizations: readonly Normalization[], scope: TypeScope): number {
  const single = normalizations.find(({ x }) => places(scope.shapeOf(x)).every((size) => size === 1));
  if (single === undefined) return 1;
  if (scope.shapeOf(single.x)[0] !== 1) return 2;
  throw new GraftError(
    'MODEL_UNSUPPORTED',
    `a batch of one cannot be normalised by its own statistics at '${single.x}', which has one place an example; take larger batches or frozen statistics`,
  );
}

/**
 * running <- (1 - m) running + m batch, with the unbiased variance, as PyTorch's momentum; the running statistics become inputs.
 * All of them move as one vector: a few operators for each node would cost more than their arithmetic.
 * Result: by name of the weight. Throws MODEL_UNSUPPORTED where two nodes share running statistics.
 */
export function addRunningStatistics(
  normalizations: readonly Normalization[],
  momentum: number,
  build: GraphBuilder,
): Map<string, Slot> {
  const moves = normalizations.flatMap((each) => movesOf(each, momentum, build));
  const twice = moves.find(({ running }, i) => moves.findIndex((other) => other.running === running) !== i);
  if (twice !== undefined) {
    throw new GraftError('MODEL_UNSUPPORTED', `two nodes have the same running statistics '${twice.running}'`);
  }
  if (moves.length === 0) return new Map();
  const joined = (names: readonly string[]): string => build.add('Concat', names, { axis: 0 });
  const running = joined(moves.map((move) => move.running));
  const factors = moves.flatMap(({ factor, channels }) => Array<number>(channels).fill(factor));
  const kept = build.add('Mul', [running, build.scalar(1 - momentum, running)]);
  const vector = build.constant(tensor('float32', [factors.length], Float32Array.from(factors)));
  const moved = build.add('Add', [kept, build.add('Mul', [joined(moves.map(({ batch }) => batch)), vector])]);
  const lengths = moves.map(({ channels }) => channels);
  const parts = build.addMany('Split', [moved, build.ints(lengths)], lengths.length, { axis: 0 });
  return new Map(
    moves.map(({ running: input, channels }, i) => [input, { input, output: parts[i] ?? '', shape: [channels] }]),
  );
}

interface Move {
  readonly running: string;
  readonly batch: string;
  /** Of the batch's statistic: the momentum, for variances times M / (M - 1) where M is known. */
  readonly factor: number;
  readonly channels: number;
}

function movesOf(
  { x, mean, variance, runningMean, runningVariance }: Normalization,
  momentum: number,
  build: GraphBuilder,
): Move[] {
  const shape = build.shapeOf(x);
  const channels = fixedSizeOf(shape[1], `channels of '${x}'`);
  const elements = knownCount(shape.toSpliced(1, 1));
  const batch = elements === undefined ? unbiased(variance, { x, channels }, build) : variance;
  const correction = elements === undefined ? 1 : elements / (elements - 1);
  return [
    { running: runningMean, batch: mean, factor: momentum, channels },
    { running: runningVariance, batch, factor: momentum * correction, channels },
  ];
}

/** variance M / (M - 1), where M is known when the graph runs. */
function unbiased(variance: string, { x, channels }: { x: string; channels: number }, build: GraphBuilder): string {
  const elements = castTo(build.add('Size', [x]), 'float32', build);
  const count = build.add('Div', [elements, build.scalar(channels, elements)]);
  const others = build.add('Sub', [count, build.scalar(1, count)]);
  return build.add('Mul', [variance, build.add('Div', [count, others])]);
}
