/** The task that `graft simulate` runs where no file names one: digits, a small network, plain SGD. */

/** Units of the hidden layer: 784 inputs, 64 units and 10 classes make 50,890 parameters. */
export const hidden = [64];

/** Digits that nobody trains on, of each class. */
export const holdOutPerClass = 100;

/** The cohort of a population: a tenth of it, at most 200 updates a round; a third more are asked, and half are enough. */
export function cohortOf(
  agents: number,
  goal: number = Math.min(200, Math.max(1, Math.floor(agents / 10))),
): {
  readonly min: number;
  readonly goal: number;
  readonly max: number;
} {
  return { min: Math.max(1, Math.ceil(goal / 2)), goal, max: Math.ceil(goal * 1.3) };
}

export function digitsTask(cohort: ReturnType<typeof cohortOf>): Record<string, unknown> {
  return {
    name: 'digits',
    kind: 'fit',
    model: 'multi-layer-perceptron',
    features: 'pixels',
    labels: Array.from({ length: 10 }, (_, digit) => String(digit)),
    scope: 'head',
    preprocessing: { kind: 'features', length: 784 },
    training: { loss: 'softmax-cross-entropy', optimizer: 'sgd', learningRate: 0.1, epochs: 2, batchSize: 16 },
    holdOut: '0'.repeat(64),
    rounds: 30,
    cohort,
    windowMs: 600_000,
    limits: { maxNormRatio: 100 },
  };
}
