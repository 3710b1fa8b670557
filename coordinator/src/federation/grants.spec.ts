import type * as wire from '@graft/protos/messages';

import { grants, uploadLimit } from './grants.js';

const hash = (name: string): string => Buffer.from(name.padEnd(32, '.')).toString('hex');
const ref = (name: string, sizeBytes = 100): wire.BlobRef => ({ hash: hash(name), sizeBytes });
const part = (name: string): wire.Part => ({ graph: ref(`${name} graph`), weights: [ref(`${name} weights`)] });
const pipeline = (name: string): wire.Pipeline => ({
  preprocessing: '{}',
  trunk: part(`${name} trunk`),
  tail: part(`${name} tail`),
  labels: [],
});

const plan = (base: wire.BlobRef | null, baseEncoding = 'fp16'): wire.TrainPlan => ({
  taskId: '',
  runId: '',
  round: 1,
  base,
  baseEncoding,
  layoutHash: '',
  roundKey: new Uint8Array(),
  roundKeySignature: new Uint8Array(),
  deadlineMs: 0,
  work: 'fit',
  fit: { pipeline: pipeline('a'), training: '{}', seed: 1, calibrateTrunk: false },
});

test('an agent may read what its instructions name, and nothing else', () => {
  const all = grants();
  all.instructed('one', { id: '1', kind: 'train', train: plan(ref('base')) });
  all.instructed('one', {
    id: '2',
    kind: 'evaluate',
    evaluate: { taskId: '', runId: '', round: 1, fp32: pipeline('b'), int8: null, deadlineMs: 0 },
  });
  const manifest = new TextEncoder().encode(JSON.stringify({ pipeline: { tail: { graph: ref('released') } } }));
  all.instructed('one', { id: '3', kind: 'install', install: { manifest, signature: new Uint8Array() } });
  for (const name of ['base', 'a trunk graph', 'a tail weights', 'b trunk weights', 'released']) {
    expect(all.mayRead('one', hash(name))).toBe(true);
    expect(all.mayRead('two', hash(name))).toBe(false);
  }
  expect(all.mayRead('one', hash('hold-out data'))).toBe(false);
});

test('an agent may read the tokenizer that its texts need', () => {
  const all = grants();
  const preprocessing = JSON.stringify({ kind: 'text', tokenizer: ref('tokenizer'), maxLength: 8 });
  const train = {
    ...plan(ref('base')),
    work: 'fit' as const,
    fit: { pipeline: { ...pipeline('a'), preprocessing }, training: '{}', seed: 1, calibrateTrunk: false },
  };
  all.instructed('one', { id: '1', kind: 'train', train });
  expect(all.mayRead('one', hash('tokenizer'))).toBe(true);
  expect(all.mayRead('two', hash('tokenizer'))).toBe(false);
});

test('what was named long ago is forgotten, what was named lately is not', () => {
  const all = grants();
  for (let i = 0; i < 5_000; i++) all.instructed('one', { id: `${i}`, kind: 'train', train: plan(ref(`base ${i}`)) });
  expect(all.mayRead('one', hash('base 0'))).toBe(false);
  expect(all.mayRead('one', hash('base 4999'))).toBe(true);
  expect(all.mayRead('one', hash('a trunk graph'))).toBe(true);
});

test('an upload is as large as a float32 delta of the base, and sealing', () => {
  expect(uploadLimit(plan(ref('base', 2_000_000)))).toBeGreaterThan(4_000_000);
  expect(uploadLimit(plan(ref('base', 2_000_000)))).toBeLessThan(4_100_000);
  expect(uploadLimit(plan(ref('base', 2_000_000), 'fp32'))).toBeLessThan(2_100_000);
  expect(uploadLimit(plan(null))).toBeLessThan(100_000);
});

test('an agent that uploads without end is stopped', () => {
  const all = grants();
  all.instructed('one', { id: '1', kind: 'train', train: plan(ref('base', 500_000)) });
  const limit = uploadLimit(plan(ref('base', 500_000)));
  let taken = 0;
  expect(() => {
    for (; taken < 100 * limit; taken += limit) all.takeUploadBytes('one', limit);
  }).toThrow(expect.objectContaining({ code: 'TOO_LARGE' }));
  expect(taken).toBe(8 * limit);
  expect(() => all.takeUploadBytes('two', 1)).toThrow(expect.objectContaining({ code: 'TOO_LARGE' }));
});

test('what an earlier instruction named counts as read after a restart, and a store that fails is asked again', async () => {
  let fails = true;
  const all = grants(async (agentId) => {
    if (fails) throw new Error('the store is away');
    return agentId === 'one' ? [{ id: '1', kind: 'train', train: plan(ref('settled')) }] : [];
  });
  await expect(all.mayHaveRead('one', hash('settled'))).rejects.toThrow('the store is away');
  fails = false;
  expect(await all.mayHaveRead('one', hash('settled'))).toBe(true);
  expect(await all.mayHaveRead('two', hash('settled'))).toBe(false);
  expect(all.mayRead('one', hash('settled'))).toBe(false);
});

test('the rates of the plan that was sent last hold', () => {
  const all = grants();
  expect(all.rates('one')).toEqual({});
  all.instructed('one', { id: '1', kind: 'train', train: { ...plan(ref('base')), maxUploadBytesPerS: 5 } });
  expect(all.rates('one')).toEqual({ up: 5 });
  all.instructed('one', { id: '2', kind: 'train', train: { ...plan(ref('base')), maxDownloadBytesPerS: 7 } });
  expect(all.rates('one')).toEqual({ down: 7 });
});
