/** Metrics against counting by hand. */
import * as fc from 'fast-check';

import { random } from '@graft/core/random';
import { tensor } from '@graft/core/tensor';

import { onnxRuntime } from '../../runtime/onnxruntime.adapter.js';
import { buildTrainingStep } from '../build-training-step.js';
import { modelOf } from '../gradient-graph.contract.js';
import { scalarFeeds, targetOf } from '../step-feeds.js';
import { firstState } from '../step-state.contract.js';
import type { LossSpec } from '../losses/loss-spec.js';
import type { MetricSpec, TrainingStep } from '../training-step.js';

const classes = 4;
const weights = new Map([['w', tensor('float32', [classes], new Float32Array(classes))]]);

/** Logits are the input plus a weight of zeros. */
function stepOf(metrics: readonly MetricSpec[], loss: LossSpec = { kind: 'softmax-cross-entropy' }): TrainingStep {
  const model = modelOf(['batch', classes], weights, {
    output: 'logits',
    nodes: (build) => build.add('Add', ['x', 'w']),
  });
  return buildTrainingStep(model, { trainable: ['w'], loss, optimizer: { kind: 'sgd' }, metrics });
}

async function metricsOf(
  step: TrainingStep,
  logits: readonly number[],
  labels: readonly number[],
): Promise<Map<string, number[]>> {
  const session = await onnxRuntime.load(step, { threads: 1, purpose: 'training' });
  const fetches = await session.run({
    x: tensor('float32', [labels.length, classes], Float32Array.from(logits)),
    [targetOf(step, 'labels').name]: tensor('int32', [labels.length], Int32Array.from(labels)),
    ...firstState(step, weights),
    ...scalarFeeds(step, { rate: 0 }),
  });
  await session.dispose();
  const values = (name: string): number[] => Array.from(fetches[name]?.data ?? [], Number);
  return new Map([
    ...step.metrics.map(({ kind, output }) => [kind, values(output)] as const),
    ['loss', values(step.loss)],
  ]);
}

/** Classes from the largest logit down, the smaller class first among equals. */
const ranked = (row: readonly number[]): number[] =>
  [...row.keys()].sort((a, b) => (row[b] ?? 0) - (row[a] ?? 0) || a - b);

const batches = fc.array(
  fc.tuple(
    fc.array(fc.integer({ min: -2, max: 2 }), { minLength: classes, maxLength: classes }),
    fc.integer({ min: 0, max: classes - 1 }),
  ),
  {
    minLength: 1,
    maxLength: 12,
  },
);

describe('metrics in the graph', () => {
  it('are the counts of the batch, equal logits included', async () => {
    const step = stepOf([{ kind: 'accuracy' }, { kind: 'top-k', k: 2 }, { kind: 'confusion' }, { kind: 'scores' }]);
    await fc.assert(
      fc.asyncProperty(batches, async (batch) => {
        const rows = batch.map(([row]) => row);
        const labels = batch.map(([, label]) => label);
        const found = await metricsOf(step, rows.flat(), labels);
        const among = (k: number): number =>
          batch.filter(([row, label]) => ranked(row).slice(0, k).includes(label)).length;
        const confusion = Array<number>(classes * classes).fill(0);
        for (const [row, label] of batch) {
          const cell = label * classes + (ranked(row)[0] ?? 0);
          confusion[cell] = (confusion[cell] ?? 0) + 1;
        }
        expect(found.get('accuracy')).toEqual([among(1)]);
        expect(found.get('top-k')).toEqual([among(2)]);
        expect(found.get('confusion')).toEqual(confusion);
        expect(found.get('scores')).toEqual(rows.flat());
      }),
      { numRuns: 20 },
    );
  });

  it('have the sum of the losses and what it is over', async () => {
    const stream = random(3);
    const logits = Array.from({ length: 5 * classes }, () => stream.normal());
    const found = await metricsOf(stepOf([{ kind: 'loss-sum' }]), logits, [0, 1, 2, 3, 0]);
    expect(found.get('count')).toEqual([5]);
    expect(found.get('loss-sum')?.[0]).toBeCloseTo(5 * (found.get('loss')?.[0] ?? NaN), 5);
  });

  it('leave ignored labels out', async () => {
    const loss = { kind: 'softmax-cross-entropy', ignoreIndex: -100 } as const;
    const step = stepOf([{ kind: 'accuracy' }, { kind: 'confusion' }, { kind: 'loss-sum' }], loss);
    const found = await metricsOf(step, [5, 0, 0, 0, 5, 0, 0, 0], [0, -100]);
    expect(found.get('accuracy')).toEqual([1]);
    expect(found.get('confusion')?.reduce((sum, each) => sum + each, 0)).toBe(1);
    expect(found.get('count')).toEqual([1]);
  });

  it.each([0, 1.5, 5])('refuse the %d largest of 4 classes', (k) => {
    expect(() => stepOf([{ kind: 'top-k', k }])).toThrow(/must be from 1 to 4/);
  });

  it('that compare with labels need a loss that has them', () => {
    for (const kind of ['accuracy', 'confusion'] as const) {
      expect(() => stepOf([{ kind }], { kind: 'mse' })).toThrow(/needs a loss with integer labels/);
    }
  });
});
