/** One model out of two: the second reads what the first makes. */
import { GraftError } from '@graft/core/error';
import { bytesOf, type Tensor } from '@graft/core/tensor';

import type { Dimension, Graph, Model, Value } from './graph.js';
import { renameModel } from './rename.js';
import { validateGraph } from './validate.js';

/**
 * The trunk followed by the tail. Each input of the tail is an output of the trunk of the same name.
 * The tail keeps all its names, since training and updates speak of them; what collides is renamed in the trunk,
 * and weights that are equal in both are kept once. Throws TENSOR_UNKNOWN, or MODEL_MALFORMED where the tail makes
 * what the trunk takes as an input.
 */
export function compose(trunk: Model, tail: Model): Model {
  const made = new Map(trunk.graph.outputs.map((value) => [value.name, value]));
  const missing = tail.graph.inputs.find(({ name }) => !made.has(name));
  if (missing !== undefined) {
    throw new GraftError('TENSOR_UNKNOWN', `the tail reads '${missing.name}', which is no output of the trunk`);
  }
  const joint = new Set(tail.graph.inputs.map(({ name }) => name));
  const first = withoutCollisions(trunk, tail, joint);
  const shared = new Set(first.graph.weights.map(({ name }) => name));
  const graph: Graph = {
    name: tail.graph.name,
    inputs: first.graph.inputs,
    outputs: sizesOfTrunk(tail.graph, made),
    weights: [...first.graph.weights, ...tail.graph.weights.filter(({ name }) => !shared.has(name))],
    nodes: [...first.graph.nodes, ...tail.graph.nodes],
  };
  validateGraph(graph);
  return { graph, weights: new Map([...first.weights, ...tail.weights]) };
}

function withoutCollisions(trunk: Model, tail: Model, joint: ReadonlySet<string>): Model {
  const taken = namesOf(tail.graph);
  const own = namesOf(trunk.graph);
  const renamed = new Map<string, string>();
  const fixed = new Set([...joint, ...trunk.graph.inputs.map(({ name }) => name)]);
  for (const name of own) {
    if (!taken.has(name) || fixed.has(name) || equal(trunk.weights.get(name), tail.weights.get(name))) continue;
    renamed.set(
      name,
      free(`trunk/${name}`, (candidate) => taken.has(candidate) || own.has(candidate)),
    );
  }
  const nodeNames = new Set(tail.graph.nodes.map(({ name }) => name));
  const ownNodeNames = new Set(trunk.graph.nodes.map(({ name }) => name));
  const { graph, weights } = renameModel(trunk, renamed);
  const nodes = graph.nodes.map((node) =>
    nodeNames.has(node.name)
      ? { ...node, name: free(`trunk/${node.name}`, (name) => nodeNames.has(name) || ownNodeNames.has(name)) }
      : node,
  );
  return { graph: { ...graph, nodes }, weights };
}

function free(wanted: string, taken: (name: string) => boolean): string {
  let name = wanted;
  for (let copy = 2; taken(name); copy++) name = `${wanted}#${copy}`;
  return name;
}

function namesOf(graph: Graph): Set<string> {
  const names = new Set([...graph.inputs, ...graph.weights].map(({ name }) => name));
  const add = (inner: Graph): void => {
    for (const node of inner.nodes) {
      for (const output of node.outputs) if (output !== '') names.add(output);
      for (const attribute of Object.values(node.attributes)) {
        if (attribute.kind !== 'graph') continue;
        for (const { name } of attribute.value.inputs) names.add(name);
        add(attribute.value);
      }
    }
  };
  add(graph);
  return names;
}

function equal(a: Tensor | undefined, b: Tensor | undefined): boolean {
  if (a?.dtype !== b?.dtype || a === undefined || b === undefined || a.shape.join() !== b.shape.join()) return false;
  if (a.data === b.data) return true;
  const [left, right] = [bytesOf(a), bytesOf(b)];
  return left.every((byte, i) => byte === right[i]);
}

/** The tail's outputs, with the symbols of its inputs replaced by the trunk's sizes, so that a batch stays one batch. */
function sizesOfTrunk(tail: Graph, made: ReadonlyMap<string, Value>): Value[] {
  const sizes = new Map<Dimension, Dimension>();
  for (const { name, shape } of tail.inputs) {
    for (const [axis, size] of (shape ?? []).entries()) {
      const known = made.get(name)?.shape?.[axis];
      if (typeof size === 'string' && known !== undefined && !sizes.has(size)) sizes.set(size, known);
    }
  }
  return tail.outputs.map((value) =>
    value.shape === undefined ? value : { ...value, shape: value.shape.map((size) => sizes.get(size) ?? size) },
  );
}
