/** Sealing and opening: what comes back, and what is refused. The attacker holds every byte on the wire, and old rounds. */
import { limits } from '@graft/core/limits';
import * as fc from 'fast-check';
import { createHash } from 'node:crypto';
import { createRoundKey, randomSeed } from '../identity/random.adapter.js';
import { agreementKeyFromSeed, signingKeyFromSeed } from '../identity/keys.js';
import { signRoundKey } from '../identity/signatures.adapter.js';
import type { UpdateManifest } from '../messages.js';
import { ciphertextBytes, plaintextBytesOf, plaintextChunkBytes, type SealContext, tagBytes } from './envelope.js';
import { chunkOpener, openEnvelope, openInOrder } from './open.adapter.js';
import { createSealer, plaintextChunks } from './seal.adapter.js';

const identity = signingKeyFromSeed(randomSeed());
const roundKey = createRoundKey();
const context: SealContext = {
  taskId: 'digits',
  runId: '01RUN',
  round: 7,
  agentId: '01AGENT',
  baseHash: 'b'.repeat(64),
  layoutHash: 'c'.repeat(64),
};

const signatures = new Map<string, Uint8Array>();

/** The signature of a round key, made once. */
function signedKey(runId: string, round: number, key: Uint8Array): Uint8Array {
  const name = `${runId} ${round} ${key.join()}`;
  const signature = signatures.get(name) ?? signRoundKey(identity, { runId, round, roundKey: key });
  signatures.set(name, signature);
  return signature;
}

interface Sealed {
  readonly manifest: UpdateManifest;
  readonly chunks: readonly Uint8Array[];
}

function seal(plaintext: Uint8Array, change: Partial<SealContext> = {}, key = roundKey.publicKey): Sealed {
  const bound = { ...context, ...change };
  const { runId, round } = bound;
  const sealer = createSealer({
    context: bound,
    plaintextBytes: plaintext.byteLength,
    roundKey: key,
    roundKeySignature: signedKey(runId, round, key),
    identityKey: identity.publicKey,
  });
  const chunks = [...plaintextChunks(plaintext)].map((chunk) => sealer.seal(chunk));
  const parameterCount = plaintext.byteLength / 4;
  return { manifest: { ...bound, ...sealer.finish(), exampleCount: 1, parameterCount }, chunks };
}

async function open({ manifest, chunks }: Sealed, secretKey = roundKey.secretKey): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of openInOrder(openEnvelope(manifest, secretKey), chunks)) parts.push(part);
  return Buffer.concat(parts);
}

function bytes(length: number, seed = 1): Uint8Array {
  const result = new Uint8Array(length);
  for (let at = 0; at < length; at++) result[at] = (at * 31 + seed * 17) & 0xff;
  return result;
}

const twoAndAHalf = bytes(2 * plaintextChunkBytes + plaintextChunkBytes / 2);
const small = seal(bytes(100));
const refusal = { code: 'ENVELOPE_INVALID' };

function flip(source: Uint8Array, bit: number): Uint8Array {
  const copy = Uint8Array.from(source);
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return copy;
}

describe('a sealed delta', () => {
  test.each([0, 1, plaintextChunkBytes - 1, plaintextChunkBytes, plaintextChunkBytes + 1, 2 * plaintextChunkBytes])(
    'of %i bytes opens to what was sealed, and its manifest has size and hash of the ciphertext',
    async (length) => {
      const plaintext = bytes(length);
      const sealed = seal(plaintext);
      const ciphertext = Buffer.concat(sealed.chunks);
      expect(Buffer.from(await open(sealed)).equals(plaintext)).toBe(true);
      expect(sealed.manifest.ciphertext).toEqual({
        hash: createHash('sha256').update(ciphertext).digest('hex'),
        sizeBytes: ciphertextBytes(length),
      });
      expect(ciphertext.byteLength).toBe(ciphertextBytes(length));
      expect(plaintextBytesOf(ciphertext.byteLength)).toBe(length);
    },
  );

  test('travels in chunks of exactly 1 MiB but for the last', () => {
    const sizes = seal(twoAndAHalf).chunks.map(({ byteLength }) => byteLength);
    expect(sizes).toEqual([limits.chunkBytes, limits.chunkBytes, plaintextChunkBytes / 2 + tagBytes]);
  });

  test('has a key of its own: the same delta sealed twice shares no byte string', () => {
    const [first, second] = [seal(bytes(64)), seal(bytes(64))];
    expect(first.chunks[0]).not.toEqual(second.chunks[0]);
    expect(first.manifest.boxedKey).not.toEqual(second.manifest.boxedKey);
    expect(first.manifest.sessionNonce).not.toEqual(second.manifest.sessionNonce);
  });

  test('shows no run of its plaintext', () => {
    const plaintext = new Uint8Array(4096).fill(65);
    const ciphertext = Buffer.concat(seal(plaintext).chunks);
    expect(ciphertext.includes('AAAA')).toBe(false);
  });

  test('may be sealed into a buffer of the caller', () => {
    const into = new Uint8Array(limits.chunkBytes);
    const signature = signedKey('01RUN', 7, roundKey.publicKey);
    const sealer = createSealer({
      context,
      plaintextBytes: 8,
      roundKey: roundKey.publicKey,
      roundKeySignature: signature,
      identityKey: identity.publicKey,
    });
    expect(sealer.seal(bytes(8), into).buffer).toBe(into.buffer);
    expect(() => sealer.seal(bytes(8))).toThrow('chunk 1 of 1');
  });

  test('is not finished before its last chunk, nor sealed in other pieces', () => {
    const key = roundKey.publicKey;
    const sealer = createSealer({
      context,
      plaintextBytes: twoAndAHalf.byteLength,
      roundKey: key,
      roundKeySignature: signedKey('01RUN', 7, key),
      identityKey: identity.publicKey,
    });
    expect(() => sealer.finish()).toThrow('0 of 3 chunks are sealed');
    expect(() => sealer.seal(bytes(4))).toThrow(`chunk 0 of 3 has 4 bytes, not ${plaintextChunkBytes}`);
  });

  test('opens for any length and in any order of its chunks', async () => {
    const lengths = fc.integer({ min: 0, max: 2 * plaintextChunkBytes + 9 });
    await fc.assert(
      fc.asyncProperty(lengths, fc.integer(), async (length, seed) => {
        const plaintext = bytes(length, seed);
        const { manifest, chunks } = seal(plaintext);
        const opener = chunkOpener(openEnvelope(manifest, roundKey.secretKey));
        const backwards = chunks.map((chunk, index) => [index, chunk] as const).reverse();
        const parts = backwards.map(([index, chunk]) => opener(index, chunk)).reverse();
        expect(Buffer.concat(parts).equals(plaintext)).toBe(true);
      }),
      { numRuns: 5 },
    );
  });
});

describe('a sealed delta is refused', () => {
  test.each([
    ['another task', { taskId: 'letters' }],
    ['another run', { runId: '01RUM' }],
    ['another round: a replay', { round: 8 }],
    ['another agent', { agentId: '01AGENS' }],
    ['another base', { baseHash: 'd'.repeat(64) }],
    ['another layout', { layoutHash: 'd'.repeat(64) }],
    ['a text moved from one field to the next', { taskId: 'digits01', runId: 'RUN' }],
  ])('under %s', async (_name, change) => {
    const { manifest, chunks } = small;
    await expect(open({ manifest: { ...manifest, ...change }, chunks })).rejects.toMatchObject(refusal);
  });

  test('under the key of another round', async () => {
    const other = createRoundKey();
    await expect(open(small, other.secretKey)).rejects.toMatchObject({
      ...refusal,
      message: 'the update of agent 01AGENT for round 7 is not sealed to the key of this round',
    });
    await expect(open(seal(bytes(100), {}, other.publicKey))).rejects.toMatchObject(refusal);
  });

  test('spliced of two envelopes of the same agent and round', async () => {
    const [mine, other] = [seal(twoAndAHalf), seal(twoAndAHalf)];
    const chunks = mine.chunks.map((chunk, index) => (index === 1 ? (other.chunks[1] ?? chunk) : chunk));
    await expect(open({ ...mine, chunks })).rejects.toMatchObject({
      message: expect.stringContaining('does not verify at chunk 1 of 3'),
    });
  });

  test('with the session nonce or the ephemeral key of another sealing', async () => {
    const [mine, other] = [small, seal(bytes(100))];
    for (const field of ['sessionNonce', 'ephemeralKey', 'boxedKeyNonce', 'boxedKey'] as const) {
      const manifest = { ...mine.manifest, [field]: other.manifest[field] };
      await expect(open({ ...mine, manifest })).rejects.toMatchObject(refusal);
    }
    const { boxedKey, boxedKeyNonce, ephemeralKey } = other.manifest;
    const manifest = { ...mine.manifest, boxedKey, boxedKeyNonce, ephemeralKey };
    await expect(open({ ...mine, manifest })).rejects.toMatchObject(refusal);
  });

  test('in another order', async () => {
    const { manifest, chunks } = seal(twoAndAHalf);
    const [first, second, last] = chunks;
    if (!first || !second || !last) throw new Error('three chunks');
    await expect(open({ manifest, chunks: [second, first, last] })).rejects.toMatchObject(refusal);
  });

  test('truncated: at a chunk, inside one, and with a manifest that admits it', async () => {
    const { manifest, chunks } = seal(twoAndAHalf);
    await expect(open({ manifest, chunks: chunks.slice(0, 2) })).rejects.toMatchObject({
      ...refusal,
      message: expect.stringContaining('ends after 2 of 3 chunks'),
    });
    const cut = chunks.map((chunk, index) => (index === 2 ? chunk.subarray(0, -1) : chunk));
    await expect(open({ manifest, chunks: cut })).rejects.toMatchObject(refusal);
    const shorter = { hash: manifest.ciphertext?.hash ?? '', sizeBytes: 2 * limits.chunkBytes };
    await expect(
      open({ manifest: { ...manifest, ciphertext: shorter }, chunks: chunks.slice(0, 2) }),
    ).rejects.toMatchObject(refusal);
  });

  test('extended by a chunk or by bytes', async () => {
    const { manifest, chunks } = seal(twoAndAHalf);
    const last = chunks[2] ?? new Uint8Array();
    await expect(open({ manifest, chunks: [...chunks, last] })).rejects.toMatchObject({
      ...refusal,
      message: expect.stringContaining('has no chunk 3, only 3'),
    });
    await expect(
      open({ manifest, chunks: [...chunks.slice(0, 2), Buffer.concat([last, last])] }),
    ).rejects.toMatchObject(refusal);
  });

  test('after any bit flip in chunk, tag or any field of the manifest that carries it', async () => {
    const sealed = small;
    const [chunk] = sealed.chunks;
    if (chunk === undefined) throw new Error('one chunk');
    const fields = ['boxedKey', 'boxedKeyNonce', 'ephemeralKey', 'sessionNonce'] as const;
    const opener = chunkOpener(openEnvelope(sealed.manifest, roundKey.secretKey));
    expect(opener(0, chunk)).toHaveLength(100);
    for (let bit = 0; bit < chunk.byteLength * 8; bit++) {
      expect(() => opener(0, flip(chunk, bit))).toThrow('does not verify at chunk 0 of 1');
    }
    for (const field of fields) {
      // X25519 ignores the top bit of a public key (RFC 7748, 5); the binding does not.
      for (const bit of [0, sealed.manifest[field].byteLength * 8 - 1]) {
        const manifest = { ...sealed.manifest, [field]: flip(sealed.manifest[field], bit) };
        await expect(open({ ...sealed, manifest })).rejects.toMatchObject(refusal);
      }
    }
  });

  test.each([
    ['no ciphertext', { ciphertext: null }],
    ['a size below one tag', { ciphertext: { hash: '', sizeBytes: 15 } }],
    ['a last chunk of nothing but its tag', { ciphertext: { hash: '', sizeBytes: limits.chunkBytes + 16 } }],
    ['a size that is no number', { ciphertext: { hash: '', sizeBytes: Number.NaN } }],
    ['a size beyond every disk', { ciphertext: { hash: '', sizeBytes: 2 ** 64 } }],
    ['no boxed key', { boxedKey: new Uint8Array() }],
    ['a long nonce', { boxedKeyNonce: new Uint8Array(25) }],
    ['a short key', { ephemeralKey: new Uint8Array(31) }],
    ['a short session nonce', { sessionNonce: new Uint8Array(15) }],
  ])('with %s', async (_name, change) => {
    const { manifest, chunks } = small;
    await expect(open({ manifest: { ...manifest, ...change }, chunks })).rejects.toMatchObject(refusal);
  });
});

describe('an agent does not seal', () => {
  const key = roundKey.publicKey;
  const signature = signedKey('01RUN', 7, key);
  const options = {
    context,
    plaintextBytes: 4,
    roundKey: key,
    roundKeySignature: signature,
    identityKey: identity.publicKey,
  };

  test.each([
    ['to a key without a signature', { roundKeySignature: new Uint8Array() }],
    ['to a key that another coordinator signed', { identityKey: signingKeyFromSeed(randomSeed()).publicKey }],
    ['to a key that was put in place of the signed one', { roundKey: createRoundKey().publicKey }],
    ['to a key of another round', { context: { ...context, round: 8 } }],
    ['to a key of another run', { context: { ...context, runId: '02RUN' } }],
    ['to a key of no size', { roundKey: new Uint8Array() }],
  ])('%s', (_name, change) => {
    expect(() => createSealer({ ...options, ...change })).toThrow(
      expect.objectContaining({ code: 'PLAN_REFUSED', message: expect.stringContaining('is not signed') }),
    );
  });

  test('and does, once the key is signed by its coordinator for this round', () => {
    expect(createSealer(options).chunkCount).toBe(1);
    expect(agreementKeyFromSeed(roundKey.secretKey).publicKey).toEqual(key);
  });
});
