/** Nodes that take the place of one node, written one after the other. */
import { tensor, type Tensor } from '@graft/core/tensor';

import type { Attribute, Node } from '../../../graph/graph.js';
import { int64s } from './attributes.js';
import type { ConversionContext } from './history.js';

type Values = Readonly<Record<string, number | readonly number[] | string>>;

const float = 1;

export class Steps {
  readonly nodes: Node[] = [];

  /** @param node whose place is taken; names here begin with its own */
  constructor(
    private readonly node: Node,
    private readonly context: ConversionContext,
  ) {}

  /** Adds a node and returns the name of its result. */
  add(op: string, inputs: readonly string[], attributes: Values = {}): string {
    return this.addAs(this.context.fresh(`${this.node.name}.${op}`), op, inputs, attributes);
  }

  /** Adds a node whose result is an output of the node that is replaced. */
  addAs(output: string, op: string, inputs: readonly string[], attributes: Values = {}): string {
    this.push(op, inputs, [output], attributes);
    return output;
  }

  /** Adds a node of two results. */
  addPair(op: string, inputs: readonly string[], attributes: Values = {}): [string, string] {
    const outputs: [string, string] = [this.fresh(`${op}.0`), this.fresh(`${op}.1`)];
    this.push(op, inputs, outputs, attributes);
    return outputs;
  }

  ints(hint: string, values: readonly number[]): string {
    return this.constant(hint, int64s(values));
  }

  int(hint: string, value: number): string {
    return this.constant(hint, tensor('int64', [], BigInt64Array.of(BigInt(value))));
  }

  float32(hint: string, value: number): string {
    return this.constant(hint, tensor('float32', [], Float32Array.of(value)));
  }

  /** A scalar of the element type of `like`, cast where it runs if the type is not known here. */
  scalarLike(hint: string, value: number, like: string): string {
    return this.castLike(this.float32(hint, value), like);
  }

  /** A float32 value as the type of `like`. */
  castLike(value: string, like: string): string {
    return this.context.elementType(like) === 'float32' ? value : this.add('CastLike', [value, like]);
  }

  /** A value as float32, as which it is not cast again. */
  asFloat32(value: string): string {
    return this.context.elementType(value) === 'float32' ? value : this.add('Cast', [value], { to: float });
  }

  private constant(hint: string, value: Tensor): string {
    return this.context.addConstant(`${this.node.name}.${hint}`, value);
  }

  private fresh(hint: string): string {
    return this.context.fresh(`${this.node.name}.${hint}`);
  }

  private push(op: string, inputs: readonly string[], outputs: readonly string[], values: Values): void {
    const name = this.nodes.length === 0 ? this.node.name : `${this.node.name}/${this.nodes.length}`;
    const attributes = Object.entries(values).map(([key, value]): [string, Attribute] => {
      if (typeof value === 'number') return [key, { kind: 'int', value }];
      return [key, typeof value === 'string' ? { kind: 'string', value } : { kind: 'ints', value }];
    });
    this.nodes.push({ name, op, domain: '', inputs, outputs, attributes: Object.fromEntries(attributes) });
  }
}
