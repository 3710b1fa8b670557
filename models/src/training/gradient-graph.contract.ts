/** For specs: small models written node by node, and graphs that give gradients instead of taking a step. */
import { tensor, type Tensor, type Weights } from '@graft/core/tensor';

import type { Dimension, Model, Value } from '../graph/graph.js';
import { GraphBuilder } from '../operators/graph-builder.js';
import { scopeOf } from '../operators/infer-shapes.js';
import { TypeScope } from '../operators/type-scope.js';
import { onnxRuntime } from '../runtime/onnxruntime.adapter.js';
import { differentiate } from './differentiate.js';
import { softmaxCrossEntropy } from './losses/softmax-cross-entropy.js';

/** A model with the input 'x' and one output, which `write` makes. */
export function modelOf(
  inputShape: readonly Dimension[],
  weights: Weights,
  write: { output: string; nodes: (build: GraphBuilder) => string },
): Model {
  const scope = new TypeScope();
  const input: Value = { name: 'x', dtype: 'float32', shape: inputShape };
  scope.declare('x', input);
  for (const [name, value] of weights) scope.declareTensor(name, value);
  const build = new GraphBuilder(scope, 'model/');
  build.addNamed('Identity', [write.nodes(build)], { outputs: [write.output] });
  const all = new Map([...weights, ...build.constants]);
  const graph = {
    name: 'small',
    inputs: [input],
    outputs: [{ ...scope.of(write.output), name: write.output }].map(({ name, dtype }) => ({ name, dtype })),
    weights: [...all].map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
    nodes: build.nodes,
  };
  return { graph, weights: all };
}

/** What the loss is: cross-entropy of 'logits', or the sum of an output times a constant of its shape. */
export type Objective =
  | { readonly kind: 'cross-entropy'; readonly labels: Int32Array }
  | { readonly kind: 'projection'; readonly output: string; readonly onto: Tensor };

/** Runs forward and backward; the gradients by `wanted` (weights, or 'x'), and the loss of a cross-entropy. */
export async function gradientsOf(
  model: Model,
  x: Tensor<'float32'>,
  { wanted, objective }: { wanted: readonly string[]; objective: Objective },
): Promise<{ loss: number; gradients: Map<string, Tensor> }> {
  const scope = scopeOf(model);
  const build = new GraphBuilder(scope, 'train/');
  scope.declare('labels', { dtype: 'int32', shape: model.graph.inputs[0]?.shape?.slice(0, 1) ?? [] });
  const { loss, output, gradient } = seedOf(objective, build);
  const found = differentiate({ nodes: model.graph.nodes, scope, seeds: new Map([[output, gradient]]), wanted }, build);
  for (const [i, [, name]] of [...found].entries()) build.addNamed('Identity', [name], { outputs: [`gradient/${i}`] });
  if (loss !== undefined) build.addNamed('Identity', [loss], { outputs: ['loss'] });
  const outputs = [...[...found.keys()].map((_, i) => `gradient/${i}`), ...(loss === undefined ? [] : ['loss'])];
  const weights = new Map([...model.weights, ...build.constants]);
  const graph = {
    name: 'gradients',
    inputs: [...model.graph.inputs, ...(loss === undefined ? [] : [{ name: 'labels', dtype: 'int32' } as const])],
    outputs: outputs.map((name) => ({ name, dtype: scope.of(name).dtype })),
    weights: [...weights].map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
    nodes: [...model.graph.nodes, ...build.nodes],
  };
  const session = await onnxRuntime.load({ graph, weights }, { threads: 1, purpose: 'training' });
  const labels =
    objective.kind === 'cross-entropy' ? { labels: tensor('int32', [objective.labels.length], objective.labels) } : {};
  const fetches = await session.run({ x, ...labels });
  await session.dispose();
  const gradients = [...found.keys()].flatMap((name, i): [string, Tensor][] => {
    const value = fetches[`gradient/${i}`];
    return value === undefined ? [] : [[name, value]];
  });
  return { loss: Number(fetches['loss']?.data[0] ?? NaN), gradients: new Map(gradients) };
}

function seedOf(objective: Objective, build: GraphBuilder): { loss?: string; output: string; gradient: string } {
  if (objective.kind === 'cross-entropy')
    return {
      output: 'logits',
      ...softmaxCrossEntropy(
        { kind: 'softmax-cross-entropy' },
        { output: 'logits', targets: { labels: 'labels' } },
        build,
      ),
    };
  return { output: objective.output, gradient: build.constant(objective.onto) };
}

/** |a - b| / |b| in the Euclidean norm; 0 where both are zero. */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Infinity;
  let [difference, norm] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    difference += ((a[i] ?? NaN) - (b[i] ?? NaN)) ** 2;
    norm += (b[i] ?? NaN) ** 2;
  }
  return difference === 0 ? 0 : Math.sqrt(difference / norm);
}
