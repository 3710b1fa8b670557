/** The first gate of a report: signature, sender, size, form. */
import { limits } from '@graft/core/limits';
import * as fc from 'fast-check';
import { randomSeed } from '../identity/random.adapter.js';
import { signingKeyFromSeed } from '../identity/keys.js';
import { signRelease, signUpdate } from '../identity/signatures.adapter.js';
import { encodeUpdateManifest } from '../message-codec.adapter.js';
import type { UpdateManifest } from '../messages.js';
import { readManifest } from './admit-manifest.adapter.js';

const key = signingKeyFromSeed(randomSeed());
const agent = { agentId: 'a', signingKey: key.publicKey };
const manifest: UpdateManifest = {
  taskId: 't',
  runId: 'r',
  round: 3,
  baseHash: 'base',
  layoutHash: 'layout',
  agentId: 'a',
  exampleCount: 100,
  ciphertext: { hash: 'f'.repeat(64), sizeBytes: 416 },
  boxedKey: new Uint8Array(48),
  boxedKeyNonce: new Uint8Array(24),
  ephemeralKey: new Uint8Array(32),
  parameterCount: 100,
  sessionNonce: new Uint8Array(16),
};

function report(bytes: Uint8Array, signer = key) {
  return { manifest: bytes, signature: signUpdate(signer, bytes) };
}

describe('a report is read', () => {
  test('when the agent signed it', () => {
    const read = readManifest(report(encodeUpdateManifest(manifest)), agent);
    expect(read).toMatchObject({ admitted: true, manifest: { agentId: 'a', exampleCount: 100 } });
  });

  test('and refused when another agent signed it', () => {
    const other = signingKeyFromSeed(randomSeed());
    const read = readManifest(report(encodeUpdateManifest(manifest), other), agent);
    expect(read).toMatchObject({ admitted: false, reason: 'bad-signature' });
  });

  test('and refused when it names another agent, signed or not', () => {
    const read = readManifest(report(encodeUpdateManifest({ ...manifest, agentId: 'b' })), agent);
    expect(read).toMatchObject({
      admitted: false,
      reason: 'bad-signature',
      message: 'the manifest names agent b, the connection a',
    });
  });

  test('and refused when the signature is for another purpose', () => {
    const bytes = encodeUpdateManifest(manifest);
    const read = readManifest({ manifest: bytes, signature: signRelease(key, bytes) }, agent);
    expect(read).toMatchObject({ admitted: false, reason: 'bad-signature' });
  });

  test('and refused after any bit flip', () => {
    const bytes = encodeUpdateManifest(manifest);
    const signed = report(bytes);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: bytes.byteLength * 8 - 1 }), (bit) => {
        const flipped = Uint8Array.from(bytes, (byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte));
        expect(readManifest({ ...signed, manifest: flipped }, agent)).toMatchObject({ admitted: false });
      }),
      { numRuns: 8 },
    );
  });

  test('and refused, never thrown at, when the signed bytes are no manifest', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        expect(readManifest(report(bytes), agent)).toMatchObject({ admitted: false });
      }),
      { numRuns: 8 },
    );
    const nested = new Uint8Array(20_000).fill(0x0b);
    expect(readManifest(report(nested), agent)).toMatchObject({ admitted: false, reason: 'bad-envelope' });
  });

  test('and refused by its size before its signature is looked at', () => {
    const bytes = new Uint8Array(limits.manifestBytes + 1);
    expect(readManifest({ manifest: bytes, signature: new Uint8Array(64) }, agent)).toMatchObject({
      reason: 'size',
      message: `the manifest has ${limits.manifestBytes + 1} bytes, the limit is ${limits.manifestBytes}`,
    });
  });
});
