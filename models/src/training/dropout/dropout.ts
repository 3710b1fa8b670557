/** Dropout at training: Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html; https://onnx.ai/onnx/operators/onnx__Dropout.html */
import { GraftError } from '@graft/core/error';

import type { Model, Node, Value } from '../../graph/graph.js';
import { GraphBuilder } from '../../operators/graph-builder.js';
import { declarationsOf, type InputShapes } from '../../operators/infer-shapes.js';
import type { DropoutSpec } from '../training-step.js';
import { addMask } from './masks.js';

/** Name of the scalar input that masks read. */
export const seedName = 'train/seed';

/**
 * The model with y = x mask in place of each Dropout node, and after each value of `after`; the graph reads `seedName`, which it does not declare.
 * The rate is the spec's, else the node's own (0.5 where it has none). Nodes with rate 0 pass on what they read.
 * Throws TENSOR_UNKNOWN where a value of `after` is made by no node, MODEL_UNSUPPORTED for a rate outside of [0, 1).
 */
export function withDropout(model: Model, spec: DropoutSpec, inputShapes: InputShapes = {}): Model {
  const scope = declarationsOf(model, inputShapes);
  scope.declare(seedName, { dtype: 'float32', shape: [] });
  const build = new GraphBuilder(scope, 'train/dropout/');
  const after = new Set(spec.after);
  let sites = 0;
  const drop = (x: string, y: string, rate: number): void => {
    checkRate(rate);
    const site = sites++;
    if (rate === 0) build.addNamed('Identity', [x], { outputs: [y] });
    else build.addNamed('Mul', [x, addMask(x, { seed: seedName, rate, site }, build)], { outputs: [y] });
  };
  for (const node of model.graph.nodes) {
    const dropped = node.outputs.filter((name) => after.has(name));
    for (const name of dropped) after.delete(name);
    const kept = renamedOutputs(node, dropped);
    if (node.op === 'Dropout' && node.domain === '') {
      drop(node.inputs[0] ?? '', kept.outputs[0] ?? '', spec.rate ?? ownRate(node, model));
      continue;
    }
    build.keep(kept);
    for (const name of dropped) drop(withoutDropout(name), name, spec.rate ?? 0.5);
  }
  const [missing] = after;
  if (missing !== undefined)
    throw new GraftError('TENSOR_UNKNOWN', `no node makes '${missing}', so it cannot be dropped from`);
  const values = [...build.constants].map(([name, { dtype, shape }]): Value => ({ name, dtype, shape }));
  const graph = { ...model.graph, nodes: build.nodes, weights: [...model.graph.weights, ...values] };
  return { graph, weights: new Map([...model.weights, ...build.constants]) };
}

const withoutDropout = (name: string): string => `train/undropped/${name}`;

function renamedOutputs(node: Node, dropped: readonly string[]): Node {
  if (dropped.length === 0) return node;
  const outputs = node.outputs.map((name) => (dropped.includes(name) ? withoutDropout(name) : name));
  return { ...node, name: `train/undropped/${node.name}`, outputs };
}

function ownRate({ inputs: [, ratio = ''] }: Node, { weights }: Model): number {
  const value = weights.get(ratio);
  return value === undefined ? 0.5 : Number(value.data[0]);
}

function checkRate(rate: number): void {
  if (rate >= 0 && rate < 1) return;
  throw new GraftError(
    'MODEL_UNSUPPORTED',
    `nothing can be dropped with rate ${rate}; it must be at least 0 and below 1`,
  );
}
