/**
 * Runs a graph node by node on tfjs. A value is disposed after its last reader, so that a run holds no more than it must;
 * what depends on weights alone is computed once.
 */
import { GraftError } from '@graft/core/error';

import { namesRead } from '../../graph/captures.js';
import type { Graph, Node } from '../../graph/graph.js';
import type { Call, Kernel } from './kernel.js';
import { kernelTable } from './kernels/kernel-table.js';
import { Value, type DeviceArray, type TensorFlow } from './value.js';

/** Values by name: those of a graph and of the graphs around it. */
type Scope = ReadonlyMap<string, Value>;

/** The kernel of a node. Throws RUNTIME_REFUSED where there is none. */
export function kernelOf({ name, op, domain }: Node): Kernel {
  const kernel = domain === '' && Object.hasOwn(kernelTable, op) ? kernelTable[op] : undefined;
  if (kernel !== undefined) return kernel;
  throw new GraftError(
    'RUNTIME_REFUSED',
    `the runtime tfjs has no kernel for node '${name}' (${domain === '' ? '' : `${domain}.`}${op})`,
    { details: { node: name, op } },
  );
}

/** A graph ready to run: how often each value is read. */
export interface Program {
  readonly graph: Graph;
  readonly nodes: readonly Node[];
  readonly readers: ReadonlyMap<string, number>;
}

/** Throws RUNTIME_REFUSED where a node has no kernel, also in graphs of attributes. */
export function compile(graph: Graph, nodes: readonly Node[] = graph.nodes): Program {
  const readers = new Map<string, number>();
  for (const node of nodes) {
    kernelOf(node);
    for (const attribute of Object.values(node.attributes)) {
      if (attribute.kind === 'graph') compile(attribute.value);
    }
    for (const name of new Set(namesRead(node))) readers.set(name, (readers.get(name) ?? 0) + 1);
  }
  for (const { name } of graph.outputs) readers.set(name, (readers.get(name) ?? 0) + 1);
  return { graph, nodes, readers };
}

const programs = new WeakMap<Graph, Program>();

/** A graph of an attribute, which may run many times. */
function compiled(graph: Graph): Program {
  const known = programs.get(graph) ?? compile(graph);
  programs.set(graph, known);
  return known;
}

/**
 * Runs a program. The outputs belong to the caller; `given` values are not disposed.
 * Throws RUNTIME_FAILED naming the node at which tfjs fails.
 */
export function interpret(tf: TensorFlow, { graph, nodes, readers }: Program, given: Scope): Map<string, Value> {
  const values = new Map(given);
  const left = new Map(readers);
  const owned = new Set<Value>();
  try {
    for (const node of nodes) {
      for (const [i, value] of runNode(tf, node, values).entries()) {
        const name = node.outputs[i] ?? '';
        owned.add(value);
        if (left.has(name)) values.set(name, value);
        else release(value, owned);
      }
      for (const name of new Set(namesRead(node))) {
        const count = (left.get(name) ?? 0) - 1;
        left.set(name, count);
        const value = values.get(name);
        if (count === 0 && value !== undefined) release(value, owned);
      }
    }
    return outputsOf(tf, graph, { values, owned });
  } finally {
    for (const value of owned) value.dispose();
  }
}

function release(value: Value, owned: Set<Value>): void {
  if (owned.delete(value)) value.dispose();
}

/** Takes the outputs out of what is owned; one that is not owned, or is asked for twice, leaves as another handle of the same data. */
function outputsOf(
  tf: TensorFlow,
  graph: Graph,
  { values, owned }: { values: Scope; owned: Set<Value> },
): Map<string, Value> {
  const outputs = new Map<string, Value>();
  for (const { name } of graph.outputs) {
    const value = values.get(name);
    if (value === undefined) throw new GraftError('RUNTIME_FAILED', `no node computes the output '${name}'`);
    outputs.set(name, owned.delete(value) ? value : value.again(tf));
  }
  return outputs;
}

function runNode(tf: TensorFlow, node: Node, values: Scope): Value[] {
  const inputs = node.inputs.map((name) => (name === '' ? undefined : valueOf(values, name)));
  const runGraph: Call['runGraph'] = (graph, own) => {
    const inner = new Map([
      ...values,
      ...graph.inputs.map(({ name }, i): [string, Value] => [name, given(own[i], name)]),
    ]);
    return [...interpret(tf, compiled(graph), inner).values()];
  };
  try {
    return scoped(tf, () => kernelOf(node)({ tf, node, inputs, runGraph }), inputs);
  } catch (cause) {
    if (cause instanceof GraftError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GraftError('RUNTIME_FAILED', `tfjs fails at node '${node.name}' (${node.op}): ${reason.slice(0, 500)}`, {
      cause,
      details: { node: node.name, op: node.op },
    });
  }
}

/** Tidies what a kernel makes on the way and keeps its outputs, each as a handle of its own. */
function scoped(tf: TensorFlow, run: () => readonly Value[], inputs: readonly (Value | undefined)[]): Value[] {
  const before = new Set(inputs);
  const results: Value[] = [];
  const seen = new Set<DeviceArray>(inputs.flatMap((input) => input?.handle ?? []));
  tf.tidy(() => {
    for (const value of run()) {
      const tensor = value.handle;
      const shared = before.has(value) || (tensor !== undefined && seen.has(tensor));
      const own = shared ? value.again(tf) : value;
      if (own.handle !== undefined) tf.keep(own.handle);
      if (tensor !== undefined) seen.add(tensor);
      results.push(own);
    }
  });
  return results;
}

function valueOf(values: Scope, name: string): Value {
  return given(values.get(name), name);
}

function given(value: Value | undefined, name: string): Value {
  if (value !== undefined) return value;
  throw new GraftError('RUNTIME_FAILED', `the value '${name}' is read before it is there; was it fed?`);
}
