/** Sums over the examples of an epoch: the loss, and the metrics that the graph counts. */
import { zeros, type Tensor, type Weights } from '@graft/core/tensor';

import type { TrainingStep } from './training-step.js';

const [nowPrefix, lastPrefix] = ['epoch/', 'last-epoch/'];

/** What a former process had summed: losses, and tensors as `tensors()` gives them. */
export interface ResumedSums {
  readonly epochLoss: number;
  readonly lastEpochLoss?: number;
  readonly state: Weights;
}

export class EpochSums {
  /** Of the epoch in hand. */
  loss: number;
  /** Of the last epoch that ended. */
  last: { readonly loss: number; readonly metrics: ReadonlyMap<string, Tensor<'float32'>> };
  private metrics: Map<string, Tensor<'float32'>>;
  private readonly outputs: readonly string[];

  constructor(step: TrainingStep, resumed?: ResumedSums) {
    this.outputs = step.metrics.filter(({ kind }) => kind !== 'scores').map(({ output }) => output);
    this.loss = resumed?.epochLoss ?? 0;
    this.metrics = this.read(nowPrefix, resumed?.state);
    // A training may be interrupted between its last step and its end.
    this.last = { loss: resumed?.lastEpochLoss ?? NaN, metrics: this.read(lastPrefix, resumed?.state) };
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

  /** The metrics so far and those of the last epoch, for a checkpoint. */
  tensors(): Map<string, Tensor> {
    const named = (prefix: string, metrics: ReadonlyMap<string, Tensor>): [string, Tensor][] =>
      [...metrics].map(([name, value]) => [prefix + name, value]);
    return new Map([...named(nowPrefix, this.metrics), ...named(lastPrefix, this.last.metrics)]);
  }

  private read(prefix: string, state: Weights = new Map()): Map<string, Tensor<'float32'>> {
    return new Map(
      this.outputs.flatMap((name): [string, Tensor<'float32'>][] => {
        const value = state.get(prefix + name);
        return value?.dtype === 'float32' ? [[name, { ...value, data: value.data.slice() }]] : [];
      }),
    );
  }
}
