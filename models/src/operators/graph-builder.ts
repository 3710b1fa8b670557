/** Adds nodes to a graph, each with the types of its results, as gradients and training steps are written. */
import { tensor, type Tensor, type TensorData } from '@graft/core/tensor';

import { toFloat16 } from '../formats/float16.js';
import type { ElementType } from '../graph/element-type.js';
import type { Attribute, Dimension, Node } from '../graph/graph.js';
import { standardLowering, type Lowering } from './lowering.js';
import type { Known, Site } from './operator.js';
import type { TypeScope } from './type-scope.js';

export type Attributes = Readonly<Record<string, number | readonly number[] | string | { readonly float: number }>>;

/** Integers and lists of them become int and ints, { float } a float. */
function attributesOf(attributes: Attributes): Record<string, Attribute> {
  const entries = Object.entries(attributes).map(([name, value]): [string, Attribute] => {
    if (typeof value === 'number') return [name, { kind: 'int', value }];
    if (typeof value === 'string') return [name, { kind: 'string', value }];
    return [name, 'float' in value ? { kind: 'float', value: value.float } : { kind: 'ints', value }];
  });
  return Object.fromEntries(entries);
}

export class GraphBuilder {
  readonly nodes: Node[] = [];
  /** Constants that the nodes read, each kept once. */
  readonly constants = new Map<string, Tensor>();
  private readonly constantNames = new Map<string, string>();
  private readonly written = new Map<string, string>();
  private count = 0;

  /**
   * @param prefix of all names made here; must be used by nothing else in the graph
   * @param lowering what the runtime of this graph can do beyond the standard operators
   */
  constructor(
    private readonly scope: TypeScope,
    private readonly prefix: string,
    readonly lowering: Lowering = standardLowering,
  ) {}

  /** Adds a node and returns the name of its result. */
  add(op: string, inputs: readonly string[], attributes: Attributes = {}): string {
    return this.addNamed(op, inputs, { attributes, outputs: [this.fresh(op)] })[0] ?? '';
  }

  /** Adds a node of several results and returns their names. */
  addMany(op: string, inputs: readonly string[], count: number, attributes: Attributes = {}): string[] {
    return this.addNamed(op, inputs, { attributes, outputs: Array.from({ length: count }, () => this.fresh(op)) });
  }

  /** Adds a node whose results have the given names, '' for those that are not needed. */
  addNamed(
    op: string,
    inputs: readonly string[],
    { attributes = {}, outputs }: { attributes?: Attributes; outputs: string[] },
  ): string[] {
    const name = outputs.find((output) => output !== '') ?? '';
    const node = { name, op, domain: '', inputs, outputs, attributes: attributesOf(attributes) };
    this.nodes.push(node);
    this.scope.infer(node);
    return outputs;
  }

  /**
   * Adds a node of a domain that is a runtime's own, which only `lowering` may allow; the operator table has no row for it,
   * so the type of its result is given. Returns the name of the result.
   */
  addPrivate(
    domain: string,
    op: string,
    inputs: readonly string[],
    { attributes = {}, type, output = this.fresh(op) }: { attributes?: Attributes; type: Known; output?: string },
  ): string {
    this.nodes.push({ name: output, op, domain, inputs, outputs: [output], attributes: attributesOf(attributes) });
    this.scope.declare(output, type);
    return output;
  }

  /** The value that `write` made the first time it was asked for under this key: forms that forward and backward share. */
  once(key: string, write: () => string): string {
    const known = this.written.get(key);
    if (known !== undefined) return known;
    const value = write();
    this.written.set(key, value);
    return value;
  }

  /** Makes a value known under a key, for `once`. */
  remember(key: string, value: string): void {
    this.written.set(key, value);
  }

  /** Adds a node as it is. */
  keep(node: Node): void {
    this.nodes.push(node);
    this.scope.infer(node);
  }

  /** What is known of the inputs of a node that may be added. */
  siteOf(node: Node): Site {
    return this.scope.siteOf(node);
  }

  /** Adds a node again, for `count` results of it under new names. */
  repeat({ op, domain, inputs, attributes }: Node, count: number): string[] {
    const outputs = Array.from({ length: count }, () => this.fresh(op));
    const node = { name: outputs[0] ?? '', op, domain, inputs, outputs, attributes };
    this.nodes.push(node);
    this.scope.infer(node);
    return outputs;
  }

  constant(value: Tensor): string {
    const key = `${value.dtype} [${value.shape.join()}] ${value.data.length <= 4096 ? value.data.join() : this.fresh('')}`;
    const known = this.constantNames.get(key);
    if (known !== undefined) return known;
    const name = this.fresh('constant');
    this.constantNames.set(key, name);
    this.constants.set(name, value);
    this.scope.declareTensor(name, value);
    return name;
  }

  /** A scalar of the element type of `like`. */
  scalar(value: number, like: string): string {
    return this.constant(floats(this.typeOf(like).dtype, [], [value]));
  }

  /** A vector of int64, as axes and shapes are given. */
  ints(values: readonly number[]): string {
    return this.constant(tensor('int64', [values.length], BigInt64Array.from(values, BigInt)));
  }

  /** Makes an input of the graph known. */
  declare(name: string, known: Known): void {
    this.scope.declare(name, known);
  }

  typeOf(name: string): Known {
    return this.scope.of(name);
  }

  shapeOf(name: string): readonly Dimension[] {
    return this.scope.shapeOf(name);
  }

  private fresh(op: string): string {
    return `${this.prefix}${op}.${this.count++}`;
  }
}

/** A tensor of a floating-point type. */
export function floats(dtype: ElementType, shape: readonly number[], values: ArrayLike<number>): Tensor {
  if (dtype === 'float64') return tensor('float64', shape, Float64Array.from(values) as TensorData['float64']);
  const single = Float32Array.from(values);
  return dtype === 'float16' ? tensor('float16', shape, toFloat16(single)) : tensor('float32', shape, single);
}
