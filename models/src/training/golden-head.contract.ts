/** For specs: a linear head with golden numbers, and a host that runs steps as plainly as can be. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { tensor, type Tensor, type Weights } from '@graft/core/tensor';

import type { Model } from '../graph/graph.js';
import { onnxRuntime } from '../runtime/onnxruntime.adapter.js';
import { modelOf } from './gradient-graph.contract.js';
import { stepScalars } from './optimizers/step-scalars.js';
import { scalarFeeds, targetOf } from './step-feeds.js';
import { firstState, nextState, weightsIn } from './step-state.contract.js';
import type { ScalarRole, TrainingStep } from './training-step.js';

export interface Numbers {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

export const float = ({ shape, data }: Numbers): Tensor<'float32'> => tensor('float32', shape, Float32Array.from(data));

export function readVectors<T>(name: string): T {
  return JSON.parse(readFileSync(join(import.meta.dirname, `../../../test/vectors/${name}.json`), 'utf8')) as T;
}

export interface HeadData {
  readonly features: Numbers;
  readonly labels: readonly number[];
  readonly batch: number;
  readonly weights: Readonly<Record<string, Numbers>>;
}

export function headModel({ features, weights }: HeadData): Model {
  const values = new Map(Object.entries(weights).map(([name, value]) => [name, float(value)]));
  return modelOf(['batch', ...features.shape.slice(1)], values, {
    output: 'logits',
    nodes: (build) => build.add('Gemm', ['x', 'head.weight', 'head.bias'], { transB: 1 }),
  });
}

/** Rows of the data as the feeds 'x' and 'labels'. */
export function rowsOf({ features, labels }: HeadData, [begin, end]: readonly [number, number], step: TrainingStep) {
  const [, width = 0] = features.shape;
  return {
    x: float({ shape: [end - begin, width], data: features.data.slice(begin * width, end * width) }),
    [targetOf(step, 'labels').name]: tensor('int32', [end - begin], Int32Array.from(labels.slice(begin, end))),
  };
}

export interface Steps {
  readonly count: number;
  readonly learningRate: number;
  /** More scalars, and feeds that are the same at each step. */
  readonly scalars?: Readonly<Partial<Record<ScalarRole, number>>>;
  readonly feeds?: Readonly<Record<string, Tensor>>;
}

/** Batches in order, the last of an epoch smaller; the weights after the last step, and the loss of each. */
export async function runSteps(
  step: TrainingStep,
  data: HeadData,
  { count, learningRate, scalars = {}, feeds = {} }: Steps,
): Promise<{ losses: number[]; weights: Map<string, Tensor<'float32'>> }> {
  const session = await onnxRuntime.load(step, { threads: 1, purpose: 'training' });
  const initial: Weights = new Map(Object.entries(data.weights).map(([name, value]) => [name, float(value)]));
  let state = firstState(step, initial);
  const losses: number[] = [];
  for (let i = 0, begin = 0; i < count; i++) {
    const end = Math.min(begin + data.batch, data.labels.length);
    const fetches = await session.run({
      ...state,
      ...feeds,
      ...rowsOf(data, [begin, end], step),
      ...scalarFeeds(step, { ...stepScalars(step.optimizer, learningRate, i + 1), ...scalars }),
    });
    losses.push(Number(fetches[step.loss]?.data[0]));
    state = nextState(step, fetches);
    begin = end === data.labels.length ? 0 : end;
  }
  await session.dispose();
  return { losses, weights: weightsIn(step, state) };
}
