/**
 * The rank of a value from the nodes that lead to it, as far as a converter needs: enough to tell whether an axis is the last.
 * Every rule holds in all opsets from 7 on. Unknown is a correct answer.
 */
import type { Tensor } from '@graft/core/tensor';

import type { Node, Value } from '../../../graph/graph.js';
import { attribute } from './attributes.js';

type RankOf = (name: string) => number | undefined;
type Rule = (node: Node, rankOf: RankOf, constant: (name: string) => Tensor | undefined) => number | undefined;

const ofInput: Rule = (node, rankOf) => rankOf(node.inputs[0] ?? '');

const ofBroadcast: Rule = (node, rankOf) => {
  const ranks = node.inputs.map(rankOf);
  return ranks.every((rank) => rank !== undefined) ? Math.max(...ranks) : undefined;
};

const ofReduction: Rule = (node, rankOf) =>
  (attribute(node, 'keepdims', 'int') ?? 1) === 1 ? rankOf(node.inputs[0] ?? '') : undefined;

/** Axes are an attribute until 13, an input since; left out they depend on sizes. */
const axesCount = (node: Node, constant: (name: string) => Tensor | undefined): number | undefined =>
  attribute(node, 'axes', 'ints')?.length ?? constant(node.inputs[1] ?? '')?.shape[0];

const withAxes =
  (sign: 1 | -1): Rule =>
  (node, rankOf, constant) => {
    const [rank, count] = [rankOf(node.inputs[0] ?? ''), axesCount(node, constant)];
    return rank === undefined || count === undefined ? undefined : rank + sign * count;
  };

const named = (rule: Rule, ...ops: readonly string[]): [string, Rule][] => ops.map((op) => [op, rule]);

const rules: ReadonlyMap<string, Rule> = new Map([
  ...named(
    ofInput,
    'Relu',
    'LeakyRelu',
    'Sigmoid',
    'HardSigmoid',
    'HardSwish',
    'Tanh',
    'Elu',
    'Clip',
    'Cast',
    'Identity',
  ),
  ...named(
    ofInput,
    'Softmax',
    'LogSoftmax',
    'Dropout',
    'Exp',
    'Log',
    'Sqrt',
    'Neg',
    'Abs',
    'Erf',
    'Slice',
    'Concat',
    'Pad',
  ),
  ...named(ofInput, 'Conv', 'ConvTranspose', 'BatchNormalization', 'InstanceNormalization', 'AveragePool', 'MaxPool'),
  ...named(ofInput, 'GlobalAveragePool', 'GlobalMaxPool', 'LRN', 'Resize', 'Upsample'),
  ...named(
    ofInput,
    'Softplus',
    'Softsign',
    'Selu',
    'PRelu',
    'Reciprocal',
    'Floor',
    'Ceil',
    'Round',
    'Sign',
    'Gelu',
    'Mish',
  ),
  ...named(
    ofInput,
    'Split',
    'Tile',
    'CumSum',
    'Trilu',
    'TopK',
    'GatherElements',
    'ScatterElements',
    'ScatterND',
    'Not',
  ),
  ...named(ofInput, 'LayerNormalization', 'GroupNormalization', 'LpNormalization', 'MeanVarianceNormalization'),
  ...named(
    ofInput,
    'Attention',
    'RMSNormalization',
    'RotaryEmbedding',
    'Swish',
    'TensorScatter',
    'CastLike',
    'Sin',
    'Cos',
  ),
  ...named(ofBroadcast, 'And', 'Or', 'Xor', 'Equal', 'Less', 'LessOrEqual', 'Greater', 'GreaterOrEqual', 'Mod', 'Mean'),
  ...named(ofBroadcast, 'Add', 'Sub', 'Mul', 'Div', 'Pow', 'Max', 'Min', 'Sum', 'Where'),
  ...named(ofReduction, 'ReduceMean', 'ReduceSum', 'ReduceMax', 'ReduceMin', 'ReduceL2', 'ArgMax'),
  ['Squeeze', withAxes(-1)],
  ['Unsqueeze', withAxes(1)],
  ['Flatten', () => 2],
  ['Shape', () => 1],
  [
    'Gather',
    (node, rankOf) => {
      const [data, indices] = node.inputs.map(rankOf);
      return data === undefined || indices === undefined ? undefined : data + indices - 1;
    },
  ],
  ['Gemm', () => 2],
  ['Transpose', (node, rankOf) => attribute(node, 'perm', 'ints')?.length ?? rankOf(node.inputs[0] ?? '')],
  ['Reshape', (node, _, constant) => constant(node.inputs[1] ?? '')?.shape[0]],
  [
    'MatMul',
    (node, rankOf) => {
      const [a, b] = node.inputs.map(rankOf);
      return a !== undefined && b !== undefined && a >= 2 && b >= 2 ? Math.max(a, b) : undefined;
    },
  ],
]);

export interface RankSource {
  readonly inputs: readonly Value[];
  readonly producer: ReadonlyMap<string, Node>;
  constant(name: string): Tensor | undefined;
}

/** A function that answers by name, each value once. Its depth is bounded, so that a long chain is unknown and not a full stack. */
export function ranks(source: RankSource): RankOf {
  const known = new Map<string, number | undefined>(source.inputs.map(({ name, shape }) => [name, shape?.length]));
  const find = (name: string, depth: number): number | undefined => {
    if (known.has(name)) return known.get(name);
    const weight = source.constant(name);
    if (weight !== undefined) return weight.shape.length;
    const node = source.producer.get(name);
    const asked = node?.outputs[0] === name || node?.op === 'Split';
    const rule = node?.domain === '' && asked ? rules.get(node.op) : undefined;
    if (!node || !rule || depth === 0) return undefined;
    const rank = rule(
      node,
      (input) => find(input, depth - 1),
      (input) => source.constant(input),
    );
    known.set(name, rank);
    return rank;
  };
  return (name) => find(name, 2000);
}
