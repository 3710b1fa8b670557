import { tensor, type Tensor } from '@graft/core/tensor';
import { fromFloat16 } from '@graft/models/formats/float16';
import { decodeSafetensors, encodeSafetensors } from '@graft/models/formats/safetensors';
import { createRoundKey } from '@graft/protos/identity/random.adapter';
import { fedAvg } from '@graft/strategies/fed-avg';

import { foldUpdates, openUpdate } from './aggregate.adapter.js';
import { elementsPerChunk } from './sealed-delta.adapter.js';
import { blobDirectory, sealUpdate, type SealInput } from './sealing.contract.js';

const roundKey = createRoundKey();
const blobs = blobDirectory();
const shapes = { 'head.bias': [10], 'head.weight': [10, 30_000] };
const parameterCount = 300_010;
/** Cheap, without a pattern that chunks share. */
const vectorOf = (seed: number): Float32Array => {
  const vector = new Float32Array(parameterCount);
  for (let i = 0; i < parameterCount; i++) vector[i] = Math.sin(i * seed) / (1 + (i % 97));
  return vector;
};
const delta2 = vectorOf(2);
const base = encodeSafetensors(
  new Map<string, Tensor>([
    ['head.weight', tensor('float32', shapes['head.weight'], vectorOf(1).subarray(10))],
    ['head.bias', tensor('float32', shapes['head.bias'], vectorOf(1).subarray(0, 10))],
  ]),
);
const baseRef = blobs.store(base);
const seal = (input: Partial<SealInput> & { agentId: string }): ReturnType<typeof sealUpdate> =>
  sealUpdate({ delta: delta2, exampleCount: 10, roundKey: roundKey.publicKey, ...input }, blobs.store);
const request = (update: ReturnType<typeof seal>): Parameters<typeof openUpdate>[0] => ({
  update,
  roundSecretKey: roundKey.secretKey,
  parameterCount,
});

describe('opening an update', () => {
  it('measures the norm of a delta of several chunks', () => {
    expect(parameterCount).toBeGreaterThan(elementsPerChunk);
    const delta = new Float32Array(parameterCount);
    delta[0] = 3;
    delta[parameterCount - 1] = -4;
    expect(openUpdate(request(seal({ agentId: 'a', delta })), blobs)).toEqual({ kind: 'opened', norm: 5 });
  });

  it.each([
    [Number.NaN, 'NaN'],
    [Infinity, 'Infinity'],
    [-Infinity, '-Infinity'],
  ])('finds %p wherever it is', (value, text) => {
    for (const index of Number.isNaN(value) ? [0, elementsPerChunk, parameterCount - 1] : [5]) {
      const delta = new Float32Array(parameterCount);
      delta[index] = value;
      expect(openUpdate(request(seal({ agentId: 'a', delta })), blobs)).toEqual({
        kind: 'not-finite',
        index,
        value: text,
      });
    }
  });

  it('finds an envelope that is sealed to another key, spliced, cut short or of another length', () => {
    const update = seal({ agentId: 'a' });
    const other = createRoundKey();
    const reopened = (change: Partial<typeof update>, secretKey = roundKey.secretKey): string => {
      const opened = openUpdate({ ...request({ ...update, ...change }), roundSecretKey: secretKey }, blobs);
      return opened.kind === 'bad-envelope' ? opened.message : opened.kind;
    };
    expect(reopened({}, other.secretKey)).toContain('is not sealed to the key of this round');
    const sealed = blobs.read(update.ciphertext.hash);
    const flipped = Uint8Array.from(sealed);
    flipped[1_100_000] = (flipped[1_100_000] ?? 0) ^ 1;
    expect(reopened({ ciphertext: blobs.store(flipped) })).toContain('does not verify at chunk 1');
    expect(reopened({ ciphertext: blobs.store(sealed.subarray(0, 1_100_000)) })).toContain('in chunk 1');
    expect(reopened({ ciphertext: seal({ agentId: 'b' }).ciphertext })).toContain('does not verify at chunk 0');
    const short = openUpdate(request(seal({ agentId: 'a', delta: new Float32Array(7) })), blobs);
    expect(short).toEqual({ kind: 'bad-envelope', message: 'the envelope holds 7 elements, not 300010' });
  });
});

describe('the fold', () => {
  const updates = [3, 4, 5].map((seed) =>
    seal({ agentId: `agent-${seed}`, delta: vectorOf(seed), exampleCount: seed * 100 }),
  );
  const fresh = { roundSecretKey: roundKey.secretKey, weight: 1 };
  const fold = (of: readonly ReturnType<typeof seal>[]): ReturnType<typeof foldUpdates> =>
    foldUpdates({ updates: of.map((update) => ({ ...update, ...fresh })), base: baseRef, parameterCount }, blobs);

  it('adds the weighted mean of the deltas to the base', async () => {
    const result = await fold(updates);
    const expected = vectorOf(1);
    const sum = fedAvg.init(parameterCount);
    for (const [i, update] of updates.entries()) {
      fedAvg.accumulate(sum, { delta: vectorOf(3 + i), offset: 0, exampleCount: update.exampleCount });
    }
    fedAvg.apply(expected, sum);
    const { weights } = decodeSafetensors(blobs.read(result.weights.hash));
    expect(weights.get('head.bias')?.data).toEqual(expected.subarray(0, 10));
    expect(weights.get('head.weight')?.data).toEqual(expected.subarray(10));
    expect(result.report).toMatchObject({ updateCount: 3, exampleCount: 1200 });
    expect(result.report.norm).toBeCloseTo(Math.sqrt(fedAvg.report(sum).squaredNorm), 6);
  });

  it('opens each update with the key of its own round, and counts it by its weight', async () => {
    const earlier = createRoundKey();
    const [first, second] = [vectorOf(3), vectorOf(4)];
    const stale = seal({ agentId: 'b', delta: second, exampleCount: 100, roundKey: earlier.publicKey });
    const of = [
      { ...seal({ agentId: 'a', delta: first, exampleCount: 300 }), ...fresh },
      { ...stale, roundSecretKey: earlier.secretKey, weight: 0.5 },
    ];
    const result = await foldUpdates({ updates: of, base: baseRef, parameterCount }, blobs);
    const { weights } = decodeSafetensors(blobs.read(result.weights.hash));
    const expected = Float32Array.from(
      vectorOf(1).subarray(0, 10),
      (value, i) => value + (300 * (first[i] ?? NaN) + 50 * (second[i] ?? NaN)) / 400,
    );
    expect(weights.get('head.bias')?.data).toEqual(expected);
    expect(result.report).toMatchObject({ updateCount: 2, exampleCount: 400 });
  });

  it('rounds the downlink to fp16 and keeps the master in fp32', async () => {
    const result = await fold(updates);
    const master = decodeSafetensors(blobs.read(result.weights.hash)).weights.get('head.bias');
    const half = decodeSafetensors(blobs.read(result.fp16.hash)).weights.get('head.bias');
    if (master?.dtype !== 'float32' || half?.dtype !== 'float16') throw new Error('wrong types');
    expect(result.fp16.sizeBytes).toBeLessThan(result.weights.sizeBytes * 0.51);
    const widened = fromFloat16(half.data);
    expect(widened).not.toEqual(master.data);
    for (const [i, value] of master.data.entries()) {
      expect(Math.abs((widened[i] ?? NaN) - value)).toBeLessThanOrEqual(Math.abs(value) * 2 ** -11 + 2 ** -25);
    }
  });

  it('gives the same bytes when it is done again', async () => {
    expect(await fold(updates)).toEqual(await fold(updates));
  });

  it('refuses to make weights that are not finite', async () => {
    const delta = new Float32Array(parameterCount).fill(3e38);
    const far = encodeSafetensors(
      new Map([['w', tensor('float32', [parameterCount], new Float32Array(parameterCount).fill(3e38))]]),
    );
    await expect(
      foldUpdates(
        {
          updates: [{ ...seal({ agentId: 'a', delta }), ...fresh }],
          base: blobs.store(far),
          parameterCount,
        },
        blobs,
      ),
    ).rejects.toThrow('parameter 0 would become Infinity');
  });
});
