import fc from 'fast-check';

import { signingKeyFromSeed } from './keys.js';
import * as plain from './signatures.js';
import { verifyUpdate } from './verify-update.adapter.js';

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

describe('the native check of an update’s signature', () => {
  it('takes what the agent’s key signed, and refuses it with one bit changed anywhere', () => {
    fc.assert(
      fc.property(bytes(32), fc.uint8Array({ minLength: 1, maxLength: 300 }), fc.nat(), (seed, manifest, at) => {
        const key = signingKeyFromSeed(seed);
        const signature = plain.signUpdate(key, manifest);
        expect(verifyUpdate(key.publicKey, manifest, signature)).toBe(true);
        const flipped = (value: Uint8Array): Uint8Array =>
          value.map((byte, index) => (index === at % value.byteLength ? byte ^ (1 << (at % 8)) : byte));
        expect(verifyUpdate(key.publicKey, flipped(manifest), signature)).toBe(false);
        expect(verifyUpdate(key.publicKey, manifest, flipped(signature))).toBe(false);
        expect(verifyUpdate(flipped(key.publicKey), manifest, signature)).toBe(false);
      }),
      { numRuns: 30 },
    );
  });

  it('answers as the plain one does, and never throws, for bytes that are no key and no signature', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ maxLength: 70 }), (key, signature) => {
        expect(verifyUpdate(key, new Uint8Array(3), signature)).toBe(false);
      }),
      { numRuns: 50 },
    );
    expect(verifyUpdate(new Uint8Array(32), new Uint8Array(3), new Uint8Array(64))).toBe(
      plain.verifyUpdate(new Uint8Array(32), new Uint8Array(3), new Uint8Array(64)),
    );
    expect(verifyUpdate(new Uint8Array(32).fill(255), new Uint8Array(3), new Uint8Array(64).fill(255))).toBe(false);
  });
});
