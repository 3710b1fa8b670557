/** A model on tfjs: its weights uploaded, what depends on weights alone computed, and the rest ready to run. */
import { GraftError } from '@graft/core/error';
import type { Tensor } from '@graft/core/tensor';

import { namesRead } from '../../graph/captures.js';
import type { Model, Node } from '../../graph/graph.js';
import type { DeviceTensor } from '../runtime.js';
import { compile, interpret, type Program } from './interpret.js';
import { Value, type TensorFlow } from './value.js';

/** What runs, and the values it starts from. */
export interface LoadedModel {
  readonly program: Program;
  readonly constants: ReadonlyMap<string, Value>;
}

/** Their results differ from run to run, or would only take memory. */
const neverFolded: ReadonlySet<string> = new Set([
  'RandomNormal',
  'RandomUniform',
  'RandomNormalLike',
  'RandomUniformLike',
  'Bernoulli',
  'Multinomial',
]);

/** Throws RUNTIME_REFUSED for an operator without a kernel, MODEL_UNSUPPORTED for weights that tfjs cannot hold. */
export function loadModel(tf: TensorFlow, { graph, weights }: Model): LoadedModel {
  compile(graph);
  const values = new Map<string, Value>();
  try {
    for (const { name } of graph.weights) {
      const weight = weights.get(name);
      if (weight === undefined) throw new GraftError('RUNTIME_REFUSED', `there is no weight '${name}'`);
      values.set(name, kept(tf, Value.of(tf, name, weight)));
    }
    const { constant, running } = partition(graph.nodes, new Set(values.keys()));
    const program = compile(graph, running);
    const made = new Set(constant.flatMap(({ outputs }) => outputs));
    const outputs = [...made]
      .filter((name) => program.readers.has(name))
      .map((name) => ({ name, dtype: 'float32' as const }));
    const folding = compile({ ...graph, outputs }, constant);
    for (const [name, value] of interpret(tf, folding, values)) values.set(name, value);
    for (const [name, value] of values) {
      if (program.readers.has(name)) continue;
      value.dispose();
      values.delete(name);
    }
    return { program, constants: values };
  } catch (error) {
    for (const value of values.values()) value.dispose();
    throw error;
  }
}

function kept(tf: TensorFlow, value: Value): Value {
  if (value.handle !== undefined) tf.keep(value.handle);
  return value;
}

/** Nodes that read constants only, and the others. */
function partition(nodes: readonly Node[], constants: Set<string>): { constant: Node[]; running: Node[] } {
  const [constant, running]: [Node[], Node[]] = [[], []];
  for (const node of nodes) {
    const folds = !neverFolded.has(node.op) && namesRead(node).every((name) => constants.has(name));
    (folds ? constant : running).push(node);
    if (folds) for (const name of node.outputs) constants.add(name);
  }
  return { constant, running };
}

/** One run. The outputs belong to the caller. Throws RUNTIME_FAILED for a feed that is missing or unknown. */
export function runModel(
  tf: TensorFlow,
  { program, constants }: LoadedModel,
  feeds: Readonly<Record<string, Tensor | DeviceTensor>>,
): Map<string, Value> {
  const uploaded: Value[] = [];
  try {
    const values = new Map(constants);
    for (const { name } of program.graph.inputs) {
      const feed = feeds[name];
      if (feed === undefined)
        throw new GraftError('RUNTIME_FAILED', `graph '${program.graph.name}' needs a feed '${name}'`);
      values.set(name, feedOf(tf, name, feed, uploaded));
    }
    assertKnown(program, feeds);
    return interpret(tf, program, values);
  } finally {
    for (const value of uploaded) value.dispose();
  }
}

function feedOf(tf: TensorFlow, name: string, feed: Tensor | DeviceTensor, uploaded: Value[]): Value {
  if (feed instanceof Value) return feed;
  if (!('data' in feed))
    throw new GraftError('RUNTIME_FAILED', `the feed '${name}' is on the device of another runtime`);
  const value = kept(tf, Value.of(tf, name, feed));
  uploaded.push(value);
  return value;
}

function assertKnown({ graph }: Program, feeds: Readonly<Record<string, unknown>>): void {
  const known = new Set(graph.inputs.map(({ name }) => name));
  const unknown = Object.keys(feeds).find((name) => !known.has(name));
  if (unknown !== undefined)
    throw new GraftError('RUNTIME_FAILED', `graph '${graph.name}' has no input '${unknown}' to feed`);
}
