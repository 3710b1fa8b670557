/** Sums over the examples of an epoch: the loss, and the metrics that the graph counts. */
import { zeros, type Tensor, type Weights } from '@graft/core/tensor';

import type { TrainingStep } from './training-step.js';

const prefix = 'epoch/';

export class EpochSums {
  /** Of the epoch in hand. */
  loss: number;
  /** Of the last epoch that ended. */
  last: { readonly loss: number; readonly metrics: ReadonlyMap<string, Tensor<'float32'>> };
  private metrics = new Map<string, Tensor<'float32'>>();
  private readonly outputs: readonly string[];

  /** @param resumed what a former process had summed, see tensors() */
  constructor(step: TrainingStep, loss = 0, resumed: Weights = new Map()) {
    this.outputs = step.metrics.filter(({ kind }) => kind !== 'scores').map(({ output }) => output);
    this.loss = loss;
    this.last = { loss: NaN, metrics: new Map() };
    for (const name of this.outputs) {
      const value = resumed.get(prefix + name);
      if (value?.dtype === 'float32') this.metrics.set(name, { ...value, data: value.data.slice() });
    }
  }

  /** @param loss times its number of examples; @param metrics by output of the step */
  add(loss: number, metrics: ReadonlyMap<string, Tensor<'float32'>>): void {
    this.loss += loss;
    for (const name of this.outputs) {
      const value = metrics.get(name);
      if (value === undefined) continue;
      const sum = this.metrics.get(name) ?? zeros('float32', value.shape);
      for (const [i, each] of value.data.entries()) sum.data[i] = (sum.data[i] ?? 0) + each;
      this.metrics.set(name, sum);
    }
  }

  endEpoch(): void {
    this.last = { loss: this.loss, metrics: this.metrics };
    this.loss = 0;
    this.metrics = new Map();
  }

  /** The metrics so far, for a checkpoint. */
  tensors(): Map<string, Tensor> {
    return new Map([...this.metrics].map(([name, value]) => [prefix + name, value]));
  }
}
