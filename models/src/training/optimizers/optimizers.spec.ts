/** Optimizers and schedules against PyTorch: test/vectors/make_optimizers.py wrote the numbers, in float64. */
import { buildTrainingStep } from '../build-training-step.js';
import { headModel, readVectors, runSteps, type HeadData, type Numbers } from '../golden-head.contract.js';
import { relativeError } from '../gradient-graph.contract.js';
import { rateAt, type Schedule } from '../schedules.js';
import { initialLossScale, nextLossScale } from './loss-scale.js';
import type { OptimizerSpec } from './optimizer-spec.js';

interface Vectors extends HeadData {
  readonly runs: readonly {
    readonly name: string;
    readonly optimizer: OptimizerSpec;
    readonly learningRate: number;
    readonly clipNorm?: number;
    readonly losses: readonly number[];
    readonly weights: Readonly<Record<string, Numbers>>;
  }[];
  readonly schedules: readonly { schedule: Schedule; base: number; rates: readonly number[] }[];
}

const vectors = readVectors<Vectors>('optimizers');
const trainable = ['head.weight', 'head.bias'];

describe('twenty steps', () => {
  it.each(vectors.runs.map((run) => [run.name, run] as const))('of %s agree with PyTorch to 1e-4', async (_, run) => {
    const { optimizer, clipNorm, learningRate } = run;
    const step = buildTrainingStep(headModel(vectors), {
      trainable,
      loss: 'softmax-cross-entropy',
      optimizer,
      ...(clipNorm !== undefined && { clipNorm }),
    });
    const { losses, weights } = await runSteps(step, vectors, { count: run.losses.length, learningRate });
    expect(relativeError(losses, run.losses)).toBeLessThanOrEqual(1e-4);
    for (const [name, { data }] of Object.entries(run.weights)) {
      expect({ name, error: relativeError(weights.get(name)?.data ?? [], data) < 1e-4 }).toEqual({ name, error: true });
    }
  });

  it.each([0, -1, NaN, Infinity])('cannot be clipped to the norm %d', (clipNorm) => {
    const options = { trainable, loss: 'softmax-cross-entropy', optimizer: { kind: 'sgd' }, clipNorm } as const;
    expect(() => buildTrainingStep(headModel(vectors), options)).toThrow(
      expect.objectContaining({ code: 'MODEL_UNSUPPORTED' }),
    );
  });
});

describe('a schedule', () => {
  it.each(vectors.schedules.map((each) => [JSON.stringify(each.schedule), each] as const))(
    '%s gives the rates of PyTorch',
    (_, { schedule, base, rates }) => {
      for (const [i, rate] of rates.entries()) {
        expect(rateAt(schedule, base, i + 1, rates.length)).toBeCloseTo(rate, 12);
      }
    },
  );

  it.each([0, 1.5, 11, NaN])('has no step %d of 10', (step) => {
    expect(() => rateAt({ kind: 'constant' }, 0.1, step, 10)).toThrow(/none of the 10 steps/);
  });

  it('refuses to change every zero steps', () => {
    expect(() => rateAt({ kind: 'step', every: 0, factor: 0.5 }, 0.1, 1, 10)).toThrow(/at least 1/);
  });

  it('is finite for one step alone', () => {
    const kinds: Schedule[] = [{ kind: 'constant' }, { kind: 'cosine' }, { kind: 'one-cycle' }];
    for (const schedule of kinds) expect(rateAt(schedule, 0.1, 1, 1)).toBeGreaterThan(0);
  });
});

describe('the loss scale', () => {
  it('is halved by gradients that are not finite, never below 1', () => {
    let scale = initialLossScale;
    expect(nextLossScale(scale, false).scale).toBe(initialLossScale.scale / 2);
    for (let i = 0; i < 40; i++) scale = nextLossScale(scale, false);
    expect(scale).toEqual({ scale: 1, steady: 0 });
  });

  it('doubles after 2000 steps in a row, up to 2^24', () => {
    let scale = initialLossScale;
    for (let i = 0; i < 1999; i++) scale = nextLossScale(scale, true);
    expect(scale.scale).toBe(initialLossScale.scale);
    expect(nextLossScale(scale, true)).toEqual({ scale: 2 * initialLossScale.scale, steady: 0 });
    for (let i = 0; i < 30_000; i++) scale = nextLossScale(scale, true);
    expect(scale.scale).toBe(2 ** 24);
  });
});
