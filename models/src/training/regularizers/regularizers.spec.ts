/** Each regularizer's part of a step against its formula in float64: one step of SGD with rate 1, with it and without. */
import { random } from '@graft/core/random';
import { elementCount, tensor, type Tensor } from '@graft/core/tensor';

import { buildTrainingStep } from '../build-training-step.js';
import { float, headModel, readVectors, runSteps, type HeadData } from '../golden-head.contract.js';
import type { Reference, ScalarRole, TrainingStep } from '../training-step.js';
import type { RegularizerSpec } from './regularizer-spec.js';

const data = readVectors<HeadData>('optimizers');
const trainable = Object.keys(data.weights);

const stepWith = (regularizers: readonly RegularizerSpec[]): TrainingStep =>
  buildTrainingStep(headModel(data), {
    trainable,
    loss: 'softmax-cross-entropy',
    optimizer: { kind: 'sgd' },
    regularizers,
  });

/** Seeded numbers in the place of each reference. */
function feedsOf(step: TrainingStep): Record<string, Tensor> {
  return Object.fromEntries(
    step.references.map(({ input, shape }, i) => {
      const stream = random(i + 1);
      return [
        input,
        tensor(
          'float32',
          shape,
          Float32Array.from({ length: elementCount(shape) }, () => stream.next()),
        ),
      ];
    }),
  );
}

/** What a step takes from a weight more than the same step without regularizers. */
async function termOf(
  regularizers: readonly RegularizerSpec[],
  given: { scalars?: Partial<Record<ScalarRole, number>>; feeds?: Record<string, Tensor> } = {},
): Promise<{
  terms: Map<string, number[]>;
  reference: (role: Reference['role'], weight: string) => ArrayLike<number>;
}> {
  const step = stepWith(regularizers);
  const feeds = { ...feedsOf(step), ...given.feeds };
  const steps = { count: 1, learningRate: 1 };
  const plain = await runSteps(stepWith([]), data, steps);
  const held = await runSteps(step, data, { ...steps, feeds, ...(given.scalars && { scalars: given.scalars }) });
  const terms = trainable.map((name): [string, number[]] => {
    const other = held.weights.get(name)?.data ?? [];
    return [name, Array.from(plain.weights.get(name)?.data ?? [], (value, i) => value - (other[i] ?? NaN))];
  });
  return {
    terms: new Map(terms),
    reference: (role, weight) => {
      const input = step.references.find((each) => each.role === role && each.weight === weight)?.input ?? '';
      return feeds[input]?.data as Float32Array;
    },
  };
}

function expectClose(found: readonly number[], expected: (i: number) => number): void {
  expect(found.length).toBeGreaterThan(0);
  const worst = Math.max(...found.map((value, i) => Math.abs(value - expected(i))));
  expect(worst).toBeLessThanOrEqual(1e-6);
}

describe('a regularizer', () => {
  it('of FedProx pulls each weight to its anchor by mu (w - w0)', async () => {
    const { terms, reference } = await termOf([{ kind: 'proximal' }], { scalars: { proximal: 0.3 } });
    for (const [name, term] of terms) {
      expectClose(term, (i) => 0.3 * ((data.weights[name]?.data[i] ?? NaN) - (reference('anchor', name)[i] ?? NaN)));
    }
  });

  it('of SCAFFOLD adds the difference of the control variates', async () => {
    const { terms, reference } = await termOf([{ kind: 'control-variate' }]);
    for (const [name, term] of terms) expectClose(term, (i) => reference('control', name)[i] ?? NaN);
  });

  it('of elastic weight consolidation pulls by lambda F (w - w*)', async () => {
    const { terms, reference } = await termOf([{ kind: 'importance' }], { scalars: { importance: 0.7 } });
    for (const [name, term] of terms) {
      const [importance, anchor] = [reference('importance', name), reference('importance-anchor', name)];
      expectClose(
        term,
        (i) => 0.7 * (importance[i] ?? NaN) * ((data.weights[name]?.data[i] ?? NaN) - (anchor[i] ?? NaN)),
      );
    }
  });

  it('adds up with others', async () => {
    const scalars = { proximal: 0.2, importance: 0.5 };
    const kinds = [{ kind: 'proximal' }, { kind: 'control-variate' }, { kind: 'importance' }] as const;
    const { terms, reference } = await termOf(kinds, { scalars });
    for (const [name, term] of terms) {
      const at = (role: Reference['role'], i: number): number => reference(role, name)[i] ?? NaN;
      expectClose(term, (i) => {
        const weight = data.weights[name]?.data[i] ?? NaN;
        const pulled = 0.5 * at('importance', i) * (weight - at('importance-anchor', i));
        return 0.2 * (weight - at('anchor', i)) + at('control', i) + pulled;
      });
    }
  });

  it('of learning without forgetting adds the softened divergence from the logits before training', async () => {
    const [temperature, coefficient, rows, width, classes] = [3, 0.4, data.batch, 7, 3];
    const stream = random(8);
    const before = Float32Array.from({ length: rows * classes }, () => 4 * stream.next() - 2);
    const spec = { kind: 'learning-without-forgetting', temperature } as const;
    const target = stepWith([spec]).targets.find(({ role }) => role === 'teacher');
    const feeds = { [target?.name ?? '']: tensor('float32', [rows, classes], before) };
    const { terms } = await termOf([spec], { scalars: { distillation: coefficient }, feeds });
    const weight = data.weights['head.weight']?.data ?? [];
    const bias = data.weights['head.bias']?.data ?? [];
    const feature = (n: number, k: number): number => Math.fround(data.features.data[n * width + k] ?? NaN);
    const softened = (logits: readonly number[]): number[] => {
      const powers = logits.map((value) => Math.exp(value / temperature));
      return powers.map((value) => value / powers.reduce((sum, each) => sum + each, 0));
    };
    const slopes = Array.from({ length: rows }, (_, n) => {
      const logits = Array.from({ length: classes }, (__, c) =>
        Array.from({ length: width }, (___, k) => feature(n, k) * (weight[c * width + k] ?? NaN)).reduce(
          (sum, each) => sum + each,
          bias[c] ?? NaN,
        ),
      );
      const teacher = softened(Array.from(before.subarray(n * classes, (n + 1) * classes)));
      return softened(logits).map((p, c) => (coefficient * temperature * (p - (teacher[c] ?? NaN))) / rows);
    });
    expectClose(terms.get('head.bias') ?? [], (c) => slopes.reduce((sum, slope) => sum + (slope[c] ?? NaN), 0));
    expectClose(terms.get('head.weight') ?? [], (i) =>
      slopes.reduce((sum, slope, n) => sum + (slope[Math.floor(i / width)] ?? NaN) * feature(n, i % width), 0),
    );
  });

  it('is not part of the loss that a step tells', async () => {
    const step = stepWith([{ kind: 'proximal' }]);
    const steps = { count: 1, learningRate: 1 };
    const { losses } = await runSteps(step, data, { ...steps, scalars: { proximal: 5 }, feeds: feedsOf(step) });
    expect(losses).toEqual((await runSteps(stepWith([]), data, steps)).losses);
  });

  it('needs the value of its coefficient', async () => {
    const step = stepWith([{ kind: 'proximal' }]);
    await expect(runSteps(step, data, { count: 1, learningRate: 1, feeds: feedsOf(step) })).rejects.toThrow(
      /scalar 'proximal'/,
    );
  });

  it('has one input for each trainable weight, of its shape', () => {
    const { references } = stepWith([{ kind: 'importance' }]);
    expect(references.map(({ role, weight, shape }) => [role, weight, shape])).toEqual(
      (['importance', 'importance-anchor'] as const).flatMap((role) =>
        trainable.map((name) => [role, name, float(data.weights[name] ?? { shape: [], data: [] }).shape]),
      ),
    );
  });
});
