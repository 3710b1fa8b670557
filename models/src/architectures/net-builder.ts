/**
 * Writes a network as a model, layer by layer, as a PyTorch module would be written.
 * The result of a layer has the layer's name ('layer1.0.conv1'), its weights that name and their own ('layer1.0.conv1.weight').
 */
import type { DType, Tensor } from '@graft/core/tensor';

import type { Dimension, Model, Value } from '../graph/graph.js';
import { validateGraph } from '../graph/validate.js';
import { GraphBuilder, type Attributes } from '../operators/graph-builder.js';
import { TypeScope } from '../operators/type-scope.js';
import { seedOf, type Initial } from './initial-weights.js';

export interface NetOptions {
  readonly name: string;
  /** Without the batch. */
  readonly exampleShape: readonly number[];
  readonly dtype?: DType;
  readonly seed: number;
}

export class NetBuilder {
  readonly input = 'input';
  private readonly scope = new TypeScope();
  private readonly build: GraphBuilder;
  private readonly weights = new Map<string, Tensor>();
  private readonly inputValue: Value;

  constructor(private readonly options: NetOptions) {
    const { name, exampleShape, dtype = 'float32' } = options;
    this.inputValue = { name: this.input, dtype, shape: ['batch', ...exampleShape] };
    this.scope.declare(this.input, this.inputValue);
    this.build = new GraphBuilder(this.scope, `${name}/`);
  }

  /** Adds a weight and returns its name. */
  weight(name: string, shape: readonly number[], initial: Initial): string {
    const value = initial(shape, seedOf(this.options.seed, name));
    this.weights.set(name, value);
    this.scope.declareTensor(name, value);
    return name;
  }

  /** Adds a node whose result has the given name, and returns that. */
  named(name: string, op: string, inputs: readonly string[], attributes: Attributes = {}): string {
    return this.build.addNamed(op, inputs, { attributes, outputs: [name] })[0] ?? name;
  }

  add(op: string, inputs: readonly string[], attributes: Attributes = {}): string {
    return this.build.add(op, inputs, attributes);
  }

  addMany(op: string, inputs: readonly string[], count: number, attributes: Attributes = {}): string[] {
    return this.build.addMany(op, inputs, count, attributes);
  }

  ints(values: readonly number[]): string {
    return this.build.ints(values);
  }

  scalar(value: number, like: string): string {
    return this.build.scalar(value, like);
  }

  shapeOf(name: string): readonly Dimension[] {
    return this.build.shapeOf(name);
  }

  /** The size of an axis that must be a number. */
  size(name: string, axis: number): number {
    return Number(this.shapeOf(name)[axis]);
  }

  /** The model whose output is 'logits', a result that must have been added. */
  model(): Model {
    const weights = new Map([...this.weights, ...this.build.constants]);
    const graph = {
      name: this.options.name,
      inputs: [this.inputValue],
      outputs: [{ name: 'logits', dtype: 'float32', shape: this.shapeOf('logits') } as const],
      weights: [...weights].map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
      nodes: this.build.nodes,
    };
    validateGraph(graph);
    return { graph, weights };
  }
}
