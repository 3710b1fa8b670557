import { tensor, type Tensor } from '@graft/core/tensor';
import { assert, asyncProperty, integer } from 'fast-check';

import { onnxRuntime } from '../runtime/onnxruntime.adapter.js';
import { modelOf } from './gradient-graph.contract.js';
import { decodeCheckpoint, encodeCheckpoint } from './training-checkpoint.js';
import { train, TrainingDiverged, type TrainingJob, type TrainingResult } from './training-session.js';

const float = (shape: readonly number[], ...data: number[]): Tensor<'float32'> =>
  tensor('float32', shape, Float32Array.from(data));

const weights = new Map([['w', float([2, 3], 0.1, -0.2, 0.3, 0.2, 0.1, -0.1)]]);

const linear = modelOf(['batch', 2], weights, {
  output: 'logits',
  nodes: (build) => build.add('MatMul', ['x', 'w']),
});

const labels = (...values: number[]) => ({ labels: tensor('int32', [values.length], Int32Array.from(values)) });
const five = float([5, 2], 1, 0, 0, 1, -1, -1, 1, 0.1, 0.1, 1);

const job: TrainingJob = {
  model: linear,
  step: { trainable: ['w'], loss: 'softmax-cross-entropy', optimizer: { kind: 'adam' } },
  examples: { inputs: { x: five }, targets: labels(0, 1, 2, 0, 1) },
  epochs: 40,
  batchSize: 2,
  learningRate: 0.1,
  seed: 1,
};

const bits = ({ weights: trained }: TrainingResult): number[] => [
  ...new Uint32Array(new Float32Array(trained.get('w')?.data ?? []).buffer),
];

describe('training', () => {
  it('learns, tells each step, and takes a smaller last batch', async () => {
    const seen: [number, number][] = [];
    const result = await train(job, onnxRuntime, {
      betweenRuns: ({ step, steps, examples }) => {
        expect(steps).toBe(120);
        seen.push([step, examples]);
      },
    });
    expect(result.steps).toBe(40 * 3);
    expect(seen.map(([step]) => step)).toEqual(Array.from({ length: 120 }, (_, i) => i + 1));
    expect(seen.slice(0, 3).map(([, examples]) => examples)).toEqual([2, 2, 1]);
    expect(result.loss).toBeLessThan(result.initialLoss / 4);
  });

  it('leaves the weights that it was given as they were', async () => {
    const before = [...(weights.get('w')?.data ?? [])];
    await train({ ...job, epochs: 1 }, onnxRuntime);
    expect([...(weights.get('w')?.data ?? [])]).toEqual(before);
  });

  it('comes to the same bits with the same seed, and to others with another', async () => {
    const [first, again, other] = [
      await train(job, onnxRuntime),
      await train(job, onnxRuntime),
      await train({ ...job, seed: 2 }, onnxRuntime),
    ];
    expect(bits(again)).toEqual(bits(first));
    expect(bits(other)).not.toEqual(bits(first));
  });

  it('goes on from the checkpoint of any step to the same bits, losses and all', async () => {
    const short = { ...job, epochs: 4, schedule: { kind: 'cosine', warmupSteps: 2 } } as const;
    const whole = await train(short, onnxRuntime);
    await assert(
      asyncProperty(integer({ min: 1, max: 12 }), async (killedAfter) => {
        let file: Uint8Array = new Uint8Array();
        const killed = train(short, onnxRuntime, {
          betweenRuns: async ({ step }, checkpoint) => {
            if (step === killedAfter) file = encodeCheckpoint('job', await checkpoint());
            if (step === Math.min(12, killedAfter + (killedAfter % 2))) throw new Error('killed');
          },
        });
        await expect(killed).rejects.toThrow('killed');
        const resume = decodeCheckpoint('job', file);
        expect(resume?.steps).toBe(killedAfter);
        const resumed = await train(short, onnxRuntime, resume === undefined ? {} : { resume });
        expect(bits(resumed)).toEqual(bits(whole));
        expect({ ...resumed, weights: 0 }).toEqual({ ...whole, weights: 0 });
      }),
      { numRuns: 8, examples: [[12]] },
    );
  });

  it('takes no checkpoint that lacks a part of its state', async () => {
    const { weights: state } = await train({ ...job, epochs: 1 }, onnxRuntime);
    const resume = { steps: 1, initialLoss: 1, epochLoss: 1, lossScale: { scale: 1, steady: 0 }, state };
    await expect(train(job, onnxRuntime, { resume })).rejects.toMatchObject({
      code: 'WEIGHTS_MALFORMED',
      message: expect.stringMatching(/the checkpoint has no value of '/),
    });
  });

  it('comes to the same bits by several steps a run, with the same losses', async () => {
    const single = await train(job, onnxRuntime);
    for (const stepsPerRun of [2, 7, 500]) {
      const seen: number[] = [];
      const looped = await train({ ...job, stepsPerRun }, onnxRuntime, {
        betweenRuns: ({ examples }) => void seen.push(examples),
      });
      expect(bits(looped)).toEqual(bits(single));
      expect({ ...looped, weights: 0 }).toEqual({ ...single, weights: 0 });
      expect(seen.reduce((sum, each) => sum + each, 0)).toBe(40 * 5);
    }
  });

  it('has one step a run where the next loss scale follows from it, however many a run should have', async () => {
    const half: TrainingJob = { ...job, epochs: 2, step: { ...job.step, precision: 'float16' }, stepsPerRun: 7 };
    const seen: number[] = [];
    await train(half, onnxRuntime, { betweenRuns: ({ step }) => void seen.push(step) });
    expect(seen).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('waits for as long as the control waits', async () => {
    let isPaused = false;
    const order: string[] = [];
    await train({ ...job, epochs: 1 }, onnxRuntime, {
      betweenRuns: async ({ step }) => {
        expect(isPaused).toBe(false);
        isPaused = true;
        order.push(`step ${step}`);
        await new Promise((resolve) => setTimeout(resolve, 5));
        isPaused = false;
      },
    });
    expect(order).toEqual(['step 1', 'step 2', 'step 3']);
  });

  it('stops at a loss that is no number, says the step, and has the last good weights', async () => {
    const before: number[][] = [];
    const steep: TrainingJob = {
      ...job,
      step: { ...job.step, loss: 'mse', optimizer: { kind: 'sgd' } },
      examples: { inputs: { x: five }, targets: { values: float([5, 3], ...Array<number>(15).fill(1)) } },
      batchSize: 5,
      learningRate: 1e12,
    };
    const error: unknown = await train(steep, onnxRuntime, {
      betweenRuns: async (_, checkpoint) => {
        before.push([...([...(await checkpoint()).state.values()][0]?.data ?? [])].map(Number));
      },
    }).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(TrainingDiverged);
    if (!(error instanceof TrainingDiverged)) return;
    expect(error.code).toBe('TRAINING_DIVERGED');
    expect(error.step).toBeGreaterThan(1);
    expect(error.message).toMatch(new RegExp(`at step ${error.step} with learning rate 1000000000000`));
    const good = [...(error.lastGood.get('w')?.data ?? [])];
    expect(good.every(Number.isFinite)).toBe(true);
    // The loss of step n was finite with the weights that step n - 1 had left.
    expect(good).toEqual(error.step === 2 ? [...(weights.get('w')?.data ?? [])] : before[error.step - 3]);
  });

  it.each<[string, Partial<TrainingJob>, string, RegExp]>([
    ['no example', { examples: { inputs: { x: float([0, 2]) }, targets: labels() } }, 'DATA_EMPTY', /no example/],
    [
      'fewer rows than labels',
      { examples: { inputs: { x: float([1, 2], 1, 1) }, targets: labels(0, 1, 2, 0, 1) } },
      'DATA_UNSUITABLE',
      /'x' has 1 rows and '.*labels' has 5/,
    ],
    [
      'a label of no class, by the number of its example',
      { examples: { inputs: { x: five }, targets: labels(0, 1, 3, 0, 1) } },
      'DATA_UNSUITABLE',
      /example 2 has label 3, which is none of the 3 classes/,
    ],
    [
      'a target that the loss has not',
      { examples: { inputs: { x: five }, targets: { teacher: five } } },
      'TENSOR_UNKNOWN',
      /'teacher'/,
    ],
    [
      'micro-batches of a step that does not accumulate',
      { microBatchSize: 1 },
      'MODEL_UNSUPPORTED',
      /accumulates gradients/,
    ],
  ])('refuses %s', async (_, change, code, message) => {
    await expect(train({ ...job, ...change }, onnxRuntime)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  it('comes to the same weights by micro-batches, up to rounding', async () => {
    const whole = await train({ ...job, batchSize: 5 }, onnxRuntime);
    const parts = await train(
      { ...job, batchSize: 5, microBatchSize: 2, step: { ...job.step, accumulate: true } },
      onnxRuntime,
    );
    expect(parts.steps).toBe(whole.steps);
    for (const [i, each] of (whole.weights.get('w')?.data ?? []).entries()) {
      expect(parts.weights.get('w')?.data[i]).toBeCloseTo(each, 4);
    }
  });
});
