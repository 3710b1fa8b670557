/** A model while it is rewritten: who makes a value, who reads it, and edits that keep both in step. */
import type { Tensor } from '@graft/core/tensor';

import { namesRead } from '../graph/captures.js';
import type { Attribute, Model, Node, Value } from '../graph/graph.js';
import { topologicalOrder } from '../graph/topological-order.js';
import { validateGraph } from '../graph/validate.js';

export interface NodeParts {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
}

export class Draft {
  private readonly byName: Map<string, Node>;
  private readonly makers = new Map<string, string>();
  private readonly readersOf = new Map<string, Set<string>>();
  private readonly outputs: ReadonlySet<string>;
  private readonly taken: Set<string>;
  private readonly weights: Map<string, Tensor>;

  constructor(private readonly model: Model) {
    const { graph, weights } = model;
    this.byName = new Map(graph.nodes.map((node) => [node.name, node]));
    this.weights = new Map(weights);
    this.outputs = new Set(graph.outputs.map(({ name }) => name));
    this.taken = new Set([...graph.inputs, ...graph.weights].map(({ name }) => name));
    for (const node of graph.nodes) {
      this.link(node);
      this.taken.add(node.name);
      for (const output of node.outputs) this.taken.add(output);
    }
  }

  /** All nodes as they are now, in the order of the model. */
  nodes(): Node[] {
    return [...this.byName.values()];
  }

  node(name: string): Node | undefined {
    return this.byName.get(name);
  }

  maker(value: string): Node | undefined {
    return this.byName.get(this.makers.get(value) ?? '');
  }

  /** Nodes that read the value, in no particular order; a subgraph's node counts as a reader. */
  readers(value: string): Node[] {
    return [...(this.readersOf.get(value) ?? [])].flatMap((name) => this.byName.get(name) ?? []);
  }

  isOutput(value: string): boolean {
    return this.outputs.has(value);
  }

  /** True where nothing but this node depends on the value. */
  isPrivate(value: string, reader: Node): boolean {
    return !this.isOutput(value) && this.readers(value).every(({ name }) => name === reader.name);
  }

  /** The value where it is a constant of dtype float32. */
  constant(value: string | undefined): Tensor<'float32'> | undefined {
    const found = value === undefined ? undefined : this.weights.get(value);
    return found?.dtype === 'float32' ? found : undefined;
  }

  weight(value: string): Tensor | undefined {
    return this.weights.get(value);
  }

  /** Replaces a node of the same name. */
  replace(node: Node): void {
    this.remove(node.name);
    this.byName.set(node.name, node);
    this.link(node);
  }

  remove(name: string): void {
    const node = this.byName.get(name);
    if (node === undefined) return;
    for (const value of namesRead(node)) this.readersOf.get(value)?.delete(name);
    for (const output of node.outputs) if (this.makers.get(output) === name) this.makers.delete(output);
    this.byName.delete(name);
  }

  /** A node of the default domain, under a name of its own. */
  add(op: string, wanted: string, { inputs, outputs, attributes = {} }: NodeParts): void {
    const node = { name: this.freshName(wanted), op, domain: '', inputs, outputs, attributes };
    this.byName.set(node.name, node);
    this.link(node);
  }

  /** A weight under the wanted name, or one like it where that is taken; returns the name. */
  addWeight(wanted: string, value: Tensor): string {
    const name = this.freshName(wanted);
    this.weights.set(name, value);
    return name;
  }

  /** A name that nothing in the graph has. */
  freshName(wanted: string): string {
    let name = wanted;
    for (let copy = 2; this.taken.has(name); copy++) name = `${wanted}#${copy}`;
    this.taken.add(name);
    return name;
  }

  /** The rewritten model in order and checked, without weights that nothing reads any more. */
  finish(): Model {
    const nodes = topologicalOrder(this.nodes());
    const used = new Set([...nodes.flatMap(namesRead), ...this.outputs]);
    const weights = new Map([...this.weights].filter(([name]) => used.has(name)));
    const values = [...weights].map(([name, { dtype, shape }]): Value => ({ name, dtype, shape }));
    const graph = { ...this.model.graph, weights: values, nodes };
    validateGraph(graph);
    return { graph, weights };
  }

  private link(node: Node): void {
    for (const output of node.outputs) if (output !== '') this.makers.set(output, node.name);
    for (const value of namesRead(node)) {
      const readers = this.readersOf.get(value);
      if (readers === undefined) this.readersOf.set(value, new Set([node.name]));
      else readers.add(node.name);
    }
  }
}
