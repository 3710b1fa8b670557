import { learningOf, stepOptionsOf, trainingSchema } from './training-spec.js';

const least = {
  loss: 'softmax-cross-entropy',
  optimizer: 'adam',
  learningRate: 0.001,
  epochs: 2,
  batchSize: 32,
} as const;

describe('how a task says that it trains', () => {
  it('has defaults for all but loss, optimizer, rate, epochs and batches', () => {
    const spec = trainingSchema.parse(least);
    expect(stepOptionsOf(spec)).toEqual({ loss: { kind: 'softmax-cross-entropy' }, optimizer: { kind: 'adam' } });
    expect(learningOf(spec)).toEqual({ epochs: 2, batchSize: 32, learningRate: 0.001 });
  });

  it('becomes a step that clips, regularizes, drops and accumulates', () => {
    const spec = trainingSchema.parse({
      ...least,
      labelSmoothing: 0.1,
      classWeights: 'balanced',
      weightDecay: 0.01,
      clipNorm: 1,
      proximal: 0.1,
      dropout: 0.2,
      microBatchSize: 8,
      schedule: { kind: 'cosine', warmupSteps: 5 },
    });
    expect(stepOptionsOf(spec)).toEqual({
      loss: { kind: 'softmax-cross-entropy', smoothing: 0.1, weighted: true },
      optimizer: { kind: 'adam', weightDecay: 0.01 },
      clipNorm: 1,
      regularizers: [{ kind: 'proximal' }],
      dropout: { rate: 0.2 },
      accumulate: true,
    });
    expect(learningOf(spec)).toMatchObject({
      microBatchSize: 8,
      coefficients: { proximal: 0.1 },
      schedule: { kind: 'cosine', warmupSteps: 5 },
    });
  });

  it('takes soft labels where examples are blended', () => {
    const spec = trainingSchema.parse({ ...least, augmentation: { place: 'after-trunk', mixup: 0.2 } });
    expect(stepOptionsOf(spec).loss).toEqual({ kind: 'softmax-cross-entropy', labels: 'soft' });
  });

  it.each([
    ['a smoothing of another loss', { loss: 'focal', labelSmoothing: 0.1 }, 'labelSmoothing'],
    ['a gamma of another loss', { gamma: 1 }, 'gamma'],
    ['a momentum of another optimizer', { momentum: 0.9 }, 'momentum'],
    ['Nesterov without momentum', { optimizer: 'sgd', nesterov: true }, 'nesterov'],
    [
      'mixup with class weights',
      { classWeights: 'balanced', augmentation: { place: 'after-trunk', mixup: 1 } },
      'mixup',
    ],
    ['a batch of none', { batchSize: 0 }, 'batchSize'],
    ['an unknown word', { learningrate: 1 }, 'learningrate'],
  ])('refuses %s by its name', (_, change, name) => {
    const { error } = trainingSchema.safeParse({ ...least, ...change });
    expect(JSON.stringify(error?.issues)).toContain(name);
  });
});
