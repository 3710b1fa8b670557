/** One vector a text: the mean of its tokens' vectors, without those of the padding (Reimers and Gurevych, 2019, https://arxiv.org/abs/1908.10084). */
import { tensor, type Tensor } from '@graft/core/tensor';

import type { Attribute, Model, Node } from './graph.js';
import { validateGraph } from './validate.js';
import { valueOf } from './value-type.js';

export interface TokenNames {
  /** Value [batch, tokens, width]. */
  readonly tokens: string;
  /** Input [batch, tokens], 1 where there is a token and 0 in the padding. */
  readonly mask: string;
}

/** The name of the result, [batch, width]. */
export const meanOfTokens = 'mean of tokens';

/** The model with the mean as its output. Throws TENSOR_UNKNOWN. */
export function withMeanOfTokens(model: Model, { tokens, mask }: TokenNames): Model {
  const { dtype } = valueOf(model, tokens);
  valueOf(model, mask);
  const ints = (value: number): Tensor => tensor('int64', [1], BigInt64Array.of(BigInt(value)));
  const constants = new Map([
    [`${meanOfTokens}/last`, ints(2)],
    [`${meanOfTokens}/tokens`, ints(1)],
  ]);
  const [last = '', axis = ''] = constants.keys();
  const at = (name: string): string => `${meanOfTokens}/${name}`;
  const float = { to: { kind: 'int', value: 1 } } as const;
  const dropped = { keepdims: { kind: 'int', value: 0 } } as const;
  const nodes = [
    node('Cast', [mask], at('mask'), float),
    node('Unsqueeze', [at('mask'), last], at('weights')),
    node('Mul', [tokens, at('weights')], at('kept')),
    node('ReduceSum', [at('kept'), axis], at('sum'), dropped),
    node('ReduceSum', [at('weights'), axis], at('count'), dropped),
    node('Div', [at('sum'), at('count')], meanOfTokens),
  ];
  const weights = new Map([...model.weights, ...constants]);
  const graph = {
    ...model.graph,
    outputs: [{ name: meanOfTokens, dtype }],
    weights: [
      ...model.graph.weights,
      ...[...constants].map(([name, value]) => ({ name, dtype: value.dtype, shape: value.shape })),
    ],
    nodes: [...model.graph.nodes, ...nodes],
  };
  validateGraph(graph);
  return { graph, weights };
}

function node(op: string, inputs: readonly string[], output: string, attributes: Record<string, Attribute> = {}): Node {
  return { name: output, op, domain: '', inputs, outputs: [output], attributes };
}
