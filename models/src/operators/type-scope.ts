/** The types of all values of a graph, learnt node by node from the operator table. */
import { GraftError } from '@graft/core/error';
import { holdsNumbers, type Tensor } from '@graft/core/tensor';

import type { Dimension, Graph, Node } from '../graph/graph.js';
import { followedElements } from './known.js';
import type { Known, Site } from './operator.js';
import { operatorOf } from './operator-table.js';
import { malformed } from './site.js';

export class TypeScope {
  private readonly known = new Map<string, Known>();

  /** @param outer what a body may read from around it */
  constructor(private readonly outer?: TypeScope) {}

  declare(name: string, known: Known): void {
    this.known.set(name, known);
  }

  declareTensor(name: string, { dtype, shape, data }: Tensor): void {
    const elements =
      data.length <= followedElements && holdsNumbers(dtype)
        ? { elements: Array.from(data as Iterable<number>, Number) }
        : {};
    this.known.set(name, { dtype, shape, ...elements });
  }

  /** Throws TENSOR_UNKNOWN. */
  of(name: string): Known {
    const known = this.find(name);
    if (known === undefined) throw new GraftError('TENSOR_UNKNOWN', `the graph has no tensor '${name}'`);
    return known;
  }

  /** Throws MODEL_UNSUPPORTED where even the rank is unknown. */
  shapeOf(name: string): readonly Dimension[] {
    const { shape } = this.of(name);
    if (shape === undefined) throw new GraftError('MODEL_UNSUPPORTED', `the shape of '${name}' is not known`);
    return shape;
  }

  siteOf(node: Node): Site {
    const inputs = node.inputs.map((name) => (name === '' ? undefined : this.of(name)));
    return { node, inputs, inferBody: (body, given) => this.inferBody(body, given) };
  }

  private find(name: string): Known | undefined {
    return this.known.get(name) ?? this.outer?.find(name);
  }

  /** In a scope of its own: names of a body are not known around it. */
  private inferBody(body: Graph, inputs: readonly Known[]): Known[] {
    const inner = new TypeScope(this);
    for (const [i, { name, dtype, shape }] of body.inputs.entries()) {
      inner.declare(name, inputs[i] ?? (shape === undefined ? { dtype } : { dtype, shape }));
    }
    for (const node of body.nodes) inner.infer(node);
    return body.outputs.map(({ name }) => inner.of(name));
  }

  /**
   * Learns the types of the node's outputs.
   * Throws MODEL_UNSUPPORTED for an operator that the table does not have, MODEL_MALFORMED where a size is no whole number from 0.
   */
  infer(node: Node): void {
    const types = operatorOf(node).infer(this.siteOf(node));
    for (const [i, name] of node.outputs.entries()) {
      const type = types[i];
      if (name === '' || type === undefined) continue;
      const wrong = type.shape?.find((size) => typeof size === 'number' && !(Number.isInteger(size) && size >= 0));
      if (wrong !== undefined) throw malformed(node, `gives '${name}' the shape [${type.shape?.join(', ') ?? ''}]`);
      this.known.set(name, type);
    }
  }

  entries(): IterableIterator<[string, Known]> {
    return this.known.entries();
  }
}
