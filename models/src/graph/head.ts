/** A new classification head on the features of a model: one linear layer, as in transfer learning. */
import { GraftError } from '@graft/core/error';
import { random } from '@graft/core/random';
import { tensor, zeros, type Tensor } from '@graft/core/tensor';

import { extract } from './extract.js';
import type { Model, Node, Value } from './graph.js';
import { validateGraph } from './validate.js';
import { valueOf } from './value-type.js';

export interface HeadOptions {
  /** The tensor that the head stands on; everything after it is dropped. */
  readonly features: string;
  readonly classes: number;
  readonly seed: number;
  /** Numbers an example in `features`, where the shape rules cannot tell; a model card lists it. */
  readonly length?: number;
}

/**
 * Flatten, then logits = features * weight^T + bias, with 'head.weight' [classes, length] uniform in +-1/sqrt(length)
 * (PyTorch's nn.Linear) and 'head.bias' zero; the output is 'logits' [batch, classes].
 * Throws TENSOR_UNKNOWN for the features, MODEL_UNSUPPORTED where their length is not known.
 */
export function withHead(model: Model, options: HeadOptions): Model {
  const features = valueOf(model, options.features);
  const length = lengthOf(features, options.length);
  const trunk = extract(model, { inputs: model.graph.inputs, outputs: [features] });
  const flat = 'head.features';
  const nodes: Node[] = [
    node('head.flatten', 'Flatten', { inputs: [features.name], outputs: [flat], ints: { axis: 1 } }),
    node('head.linear', 'Gemm', {
      inputs: [flat, 'head.weight', 'head.bias'],
      outputs: ['logits'],
      ints: { transB: 1 },
    }),
  ];
  const added: ReadonlyMap<string, Tensor> = new Map<string, Tensor>([
    ['head.weight', initialWeight(options.classes, length, options.seed)],
    ['head.bias', zeros('float32', [options.classes])],
  ]);
  const values = [...added].map(([name, { dtype, shape }]): Value => ({ name, dtype, shape }));
  const batch = features.shape?.[0] ?? model.graph.inputs[0]?.shape?.[0] ?? 'batch';
  const graph = {
    ...trunk.graph,
    outputs: [{ name: 'logits', dtype: 'float32', shape: [batch, options.classes] } as const],
    weights: [...trunk.graph.weights, ...values],
    nodes: [...trunk.graph.nodes, ...nodes],
  };
  validateGraph(graph);
  return { graph, weights: new Map([...trunk.weights, ...added]) };
}

function lengthOf({ name, dtype, shape }: Value, given: number | undefined): number {
  if (dtype !== 'float32')
    throw new GraftError('MODEL_UNSUPPORTED', `features '${name}' are ${dtype}, a head needs float32`);
  const sizes = shape?.slice(1) ?? [];
  const known = sizes.every((size) => typeof size === 'number');
  const length = shape !== undefined && known ? sizes.reduce((product, size) => product * size, 1) : undefined;
  if (length !== undefined && given !== undefined && length !== given) {
    throw new GraftError('MODEL_UNSUPPORTED', `features '${name}' have ${length} numbers an example, not ${given}`);
  }
  const result = length ?? given;
  if (result !== undefined) return result;
  throw new GraftError(
    'MODEL_UNSUPPORTED',
    `features '${name}' have shape [${shape?.join(', ') ?? '?'}], so their length is not known; fix the size of the examples first`,
  );
}

function initialWeight(classes: number, length: number, seed: number): Tensor<'float32'> {
  const source = random(seed);
  const bound = 1 / Math.sqrt(length);
  return tensor(
    'float32',
    [classes, length],
    Float32Array.from({ length: classes * length }, () => (2 * source.next() - 1) * bound),
  );
}

function node(
  name: string,
  op: string,
  { inputs, outputs, ints }: { inputs: readonly string[]; outputs: readonly string[]; ints: Record<string, number> },
): Node {
  const attributes = Object.entries(ints).map(([key, value]) => [key, { kind: 'int', value }] as const);
  return { name, op, domain: '', inputs, outputs, attributes: Object.fromEntries(attributes) };
}
