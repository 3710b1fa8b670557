/**
 * A transformer encoder with a classifier on the mean of its positions: Vaswani and others, 2017, https://arxiv.org/abs/1706.03762.
 * Layers as torch.nn.TransformerEncoderLayer (batch first, GELU, no dropout), names of weights too.
 */
import type { Model } from '../graph/graph.js';
import { glorotUniform, normal, zerosThere } from './initial-weights.js';
import { layerNorm, linear } from './layers.js';
import { NetBuilder } from './net-builder.js';

export interface TransformerClassifierOptions {
  readonly width: number;
  readonly heads: number;
  readonly layers: number;
  /** Of the feed-forward part; 4 times the width where left out. */
  readonly hidden?: number;
  /** Positions of an example, all of them used. */
  readonly positions: number;
  readonly classes: number;
  /** Numbers of tokens below `vocabulary` as int64, or vectors of `vector` numbers. */
  readonly input: { readonly vocabulary: number } | { readonly vector: number };
  /** Whether layers normalize what they read, or what they have made. */
  readonly norm: 'before' | 'after';
}

/** Input [batch, positions] or [batch, positions, vector], output 'logits' [batch, classes]. */
export function transformerClassifier(options: TransformerClassifierOptions, seed: number): Model {
  const { width, layers, positions, classes, input, norm } = options;
  const exampleShape = 'vector' in input ? [positions, input.vector] : [positions];
  const dtype = 'vector' in input ? 'float32' : 'int64';
  const net = new NetBuilder({ name: 'transformer', exampleShape, dtype, seed });
  let x = embedding(net, options);
  for (let i = 0; i < layers; i++) x = encoderLayer(net, `encoder.layers.${i}`, x, options);
  if (norm === 'before') x = layerNorm(net, 'encoder.norm', x);
  const sequences = net.add('Reshape', [x, net.ints([-1, positions, width])]);
  const mean = net.named('pool', 'ReduceMean', [sequences, net.ints([1])], { keepdims: 0 });
  linear(net, 'classifier', mean, { outputs: classes, output: 'logits' });
  return net.model();
}

/** Rows [batch * positions, width]: matrix products of all positions are one. */
function embedding(net: NetBuilder, { width, positions, input }: TransformerClassifierOptions): string {
  const embedded =
    'vector' in input
      ? linear(net, 'embedding', net.add('Reshape', [net.input, net.ints([-1, input.vector])]), { outputs: width })
      : net.named('embedding', 'Gather', [
          net.weight('embedding.weight', [input.vocabulary, width], normal(1)),
          net.input,
        ]);
  const sequences = net.add('Reshape', [embedded, net.ints([-1, positions, width])]);
  const placed = net.add('Add', [sequences, net.weight('positions', [positions, width], normal(0.02))]);
  return net.named('embedded', 'Reshape', [placed, net.ints([-1, width])]);
}

function encoderLayer(net: NetBuilder, name: string, x: string, options: TransformerClassifierOptions): string {
  const { width, hidden = 4 * width, norm } = options;
  const dense = (y: string): string => {
    const wide = net.add('Gelu', [linear(net, `${name}.linear1`, y, { outputs: hidden })]);
    return linear(net, `${name}.linear2`, wide, { outputs: width });
  };
  const attended = (y: string): string => attention(net, `${name}.self_attn`, y, options);
  if (norm === 'before') {
    const middle = net.add('Add', [x, attended(layerNorm(net, `${name}.norm1`, x))]);
    return net.named(name, 'Add', [middle, dense(layerNorm(net, `${name}.norm2`, middle))]);
  }
  const middle = layerNorm(net, `${name}.norm1`, net.add('Add', [x, attended(x)]));
  return net.named(name, 'Identity', [layerNorm(net, `${name}.norm2`, net.add('Add', [middle, dense(middle)]))]);
}

/** softmax(Q K^T / sqrt(size)) V for each head; Q, K and V by one product. */
function attention(
  net: NetBuilder,
  name: string,
  x: string,
  { width, heads, positions }: TransformerClassifierOptions,
): string {
  const size = width / heads;
  const projections = [
    net.weight(`${name}.in_proj_weight`, [3 * width, width], glorotUniform),
    net.weight(`${name}.in_proj_bias`, [3 * width], zerosThere),
  ];
  const joint = net.named(`${name}.in_proj`, 'Gemm', [x, ...projections], { transB: 1 });
  const [query = '', key = '', value = ''] = net
    .addMany('Split', [joint, net.ints([width, width, width])], 3, { axis: 1 })
    .map((part) => net.add('Reshape', [part, net.ints([-1, positions, heads, size])]));
  const scaled = net.add('Mul', [query, net.scalar(1 / Math.sqrt(size), query)]);
  const scores = net.add('MatMul', [
    net.add('Transpose', [scaled], { perm: [0, 2, 1, 3] }),
    net.add('Transpose', [key], { perm: [0, 2, 3, 1] }),
  ]);
  const mixed = net.add('MatMul', [
    net.add('Softmax', [scores], { axis: -1 }),
    net.add('Transpose', [value], { perm: [0, 2, 1, 3] }),
  ]);
  const joined = net.add('Reshape', [net.add('Transpose', [mixed], { perm: [0, 2, 1, 3] }), net.ints([-1, width])]);
  return linear(net, `${name}.out_proj`, joined, { outputs: width, bias: zerosThere });
}
