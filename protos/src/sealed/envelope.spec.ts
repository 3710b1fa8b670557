/** The format as docs/protocol.md writes it down, byte by byte, and that node:crypto and tweetnacl alone open it. */
import { createDecipheriv } from 'node:crypto';
import nacl from 'tweetnacl';
import { createRoundKey, randomSeed } from '../identity/random.adapter.js';
import { signingKeyFromSeed } from '../identity/keys.js';
import { signRoundKey } from '../identity/signatures.adapter.js';
import { ciphertextBytes, chunkBinding, chunkNonce, plaintextBytesOf, type SealContext } from './envelope.js';
import { createSealer } from './seal.adapter.js';

const context: SealContext = {
  taskId: 'zahl-ß',
  runId: 'run',
  round: 258,
  agentId: 'agent',
  baseHash: 'base',
  layoutHash: 'layout',
};

/** Additional data of the only chunk of an envelope, put together by hand. */
function additionalData(ephemeralKey: Uint8Array, sessionNonce: Uint8Array, plaintextBytes: number): Buffer {
  const texts = ['graft/v1/sealed', 'zahl-ß', 'run', 'agent', 'base', 'layout'].map((text) => {
    const bytes = Buffer.from(text);
    return Buffer.concat([Buffer.of(0, bytes.byteLength), bytes]);
  });
  const numbers = [0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, plaintextBytes, 0, 0, 0, 1, 0, 0, 0, 0, 1];
  return Buffer.concat([...texts, ephemeralKey, sessionNonce, Buffer.from(numbers)]);
}

describe('the envelope', () => {
  test('binds a chunk to what the page says', () => {
    const session = {
      ephemeralKey: new Uint8Array(32).fill(1),
      sessionNonce: new Uint8Array(16).fill(2),
      plaintextBytes: 5,
    };
    const expected = additionalData(session.ephemeralKey, session.sessionNonce, 5);
    expect(Buffer.from(chunkBinding(context, session)(0)).equals(expected)).toBe(true);
    expect(chunkNonce(0x01020304)).toEqual(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4));
  });

  test('opens with tweetnacl and AES-256-GCM alone', () => {
    const identity = signingKeyFromSeed(randomSeed());
    const roundKey = createRoundKey();
    const sealer = createSealer({
      context,
      plaintextBytes: 5,
      roundKey: roundKey.publicKey,
      roundKeySignature: signRoundKey(identity, { runId: 'run', round: 258, roundKey: roundKey.publicKey }),
      identityKey: identity.publicKey,
    });
    const chunk = sealer.seal(Buffer.from('delta'));
    const { boxedKey, boxedKeyNonce, ephemeralKey, sessionNonce } = sealer.finish();
    const key = nacl.box.open(boxedKey, boxedKeyNonce, ephemeralKey, roundKey.secretKey) ?? new Uint8Array(32);
    const decipher = createDecipheriv('aes-256-gcm', key, new Uint8Array(12), { authTagLength: 16 });
    decipher.setAAD(additionalData(ephemeralKey, sessionNonce, 5));
    decipher.setAuthTag(chunk.subarray(5));
    const plaintext = Buffer.concat([decipher.update(chunk.subarray(0, 5)), decipher.final()]);
    expect(plaintext.toString()).toBe('delta');
  });

  test('of a name that its length cannot hold is refused', () => {
    const session = { ephemeralKey: new Uint8Array(32), sessionNonce: new Uint8Array(16), plaintextBytes: 0 };
    expect(() => chunkBinding({ ...context, taskId: 'x'.repeat(65_536) }, session)).toThrow('the limit is 65535');
  });

  test.each([0, 1, 1_048_560, 1_048_561, 8 * 2 ** 30])('of %i bytes has a size that tells them', (plaintextBytes) => {
    expect(plaintextBytesOf(ciphertextBytes(plaintextBytes))).toBe(plaintextBytes);
  });

  test.each([0, 15, 1_048_576 + 16, -1, 16.5, Number.NaN, Infinity, 2 ** 60])('of %d bytes is none', (sizeBytes) => {
    expect(plaintextBytesOf(sizeBytes)).toBeUndefined();
  });
});
