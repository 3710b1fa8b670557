/** Signatures: each for one purpose and one signer; the test vector of RFC 8032. */
import * as fc from 'fast-check';
import { createPublicKey, verify } from 'node:crypto';
import { agreementKeyFromSeed, signingKeyFromSeed } from './keys.js';
import nacl from 'tweetnacl';
import { signEnrolment, updateMessage, verifyEnrolment } from './signatures.js';
import * as signatures from './signatures.adapter.js';

const key = signingKeyFromSeed(new Uint8Array(32).fill(1));
const other = signingKeyFromSeed(new Uint8Array(32).fill(2));
const agreementKey = agreementKeyFromSeed(new Uint8Array(32).fill(3)).publicKey;
const claim = { token: 'gt_token', csr: Uint8Array.of(0x30, 1, 2), agreementKey };
const roundClaim = { runId: 'run', round: 258, roundKey: agreementKey };
const manifest = new TextEncoder().encode('{"release":1}');

describe('keys', () => {
  test('are those of RFC 8032, 7.1, test 1', () => {
    const seed = Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex');
    expect(Buffer.from(signingKeyFromSeed(seed).publicKey).toString('hex')).toBe(
      'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    );
  });

  test.each([
    [
      '77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a',
      '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a',
    ],
    [
      '5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb',
      'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f',
    ],
  ])('are those of RFC 7748, 6.1, for %s', (secret, expected) => {
    const { publicKey } = agreementKeyFromSeed(Buffer.from(secret, 'hex'));
    expect(Buffer.from(publicKey).toString('hex')).toBe(expected);
  });
});

describe('a signature', () => {
  test('is over the bytes that the .proto files write down (checked by OpenSSL)', () => {
    const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), key.publicKey]);
    const publicKey = createPublicKey({ key: spki, format: 'der', type: 'spki' });
    const signed: [Uint8Array, Buffer][] = [
      [signEnrolment(key, claim), Buffer.concat([Buffer.from('graft/v1/enrol\0gt_token\0'), claim.csr, agreementKey])],
      [
        signatures.signRoundKey(key, roundClaim),
        Buffer.concat([Buffer.from('graft/v1/round-key\0run\0'), Buffer.of(0, 0, 1, 2), agreementKey]),
      ],
      [signatures.signUpdate(key, manifest), Buffer.concat([Buffer.from('graft/v1/update\0'), manifest])],
      [signatures.signRelease(key, manifest), Buffer.concat([Buffer.from('graft/v1/release\0'), manifest])],
    ];
    for (const [signature, message] of signed) expect(verify(null, message, publicKey, signature)).toBe(true);
  });

  test('holds for what was signed', () => {
    const { signRelease, signRoundKey, signUpdate } = signatures;
    expect(verifyEnrolment(key.publicKey, claim, signEnrolment(key, claim))).toBe(true);
    expect(signatures.verifyRoundKey(key.publicKey, roundClaim, signRoundKey(key, roundClaim))).toBe(true);
    expect(signatures.verifyUpdate(key.publicKey, manifest, signUpdate(key, manifest))).toBe(true);
    expect(signatures.verifyRelease(key.publicKey, manifest, signRelease(key, manifest))).toBe(true);
  });

  test('of a release does not hold for another key, another release or another purpose', () => {
    const signature = signatures.signRelease(key, manifest);
    expect(signatures.verifyRelease(other.publicKey, manifest, signature)).toBe(false);
    expect(signatures.verifyRelease(key.publicKey, Uint8Array.of(...manifest, 32), signature)).toBe(false);
    expect(signatures.verifyUpdate(key.publicKey, manifest, signature)).toBe(false);
  });

  test('has the bits that tweetnacl gives it, and is refused with one bit changed anywhere', () => {
    const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
    fc.assert(
      fc.property(bytes(32), fc.uint8Array({ minLength: 1, maxLength: 300 }), fc.nat(), (seed, update, at) => {
        const { publicKey, secretKey } = signingKeyFromSeed(seed);
        const signature = signatures.signUpdate({ publicKey, secretKey }, update);
        expect(signature).toEqual(nacl.sign.detached(updateMessage(update), secretKey));
        const flipped = (value: Uint8Array): Uint8Array =>
          value.map((byte, index) => (index === at % value.byteLength ? byte ^ (1 << (at % 8)) : byte));
        expect(signatures.verifyUpdate(publicKey, update, signature)).toBe(true);
        expect(signatures.verifyUpdate(publicKey, flipped(update), signature)).toBe(false);
        expect(signatures.verifyUpdate(publicKey, update, flipped(signature))).toBe(false);
        expect(signatures.verifyUpdate(flipped(publicKey), update, signature)).toBe(false);
      }),
      { numRuns: 30 },
    );
  });

  test('of a round key is not made for a run id that could be read in another way', () => {
    expect(() => signatures.signRoundKey(key, { ...roundClaim, runId: 'run\0' })).toThrow('round 258');
    const signature = signatures.signRoundKey(key, roundClaim);
    expect(signatures.verifyRoundKey(key.publicKey, { ...roundClaim, runId: 'run\0' }, signature)).toBe(false);
    expect(signatures.verifyRoundKey(key.publicKey, { ...roundClaim, round: 259 }, signature)).toBe(false);
  });

  test.each([
    ['token', { token: 'gt_other' }],
    ['CSR', { csr: Uint8Array.of(0x30, 1, 3) }],
    ['agreement key', { agreementKey: key.publicKey }],
    ['border between token and CSR', { token: 'gt_token\0', csr: claim.csr.subarray(1) }],
    [
      'agreement key of another size',
      { csr: new Uint8Array(), agreementKey: Uint8Array.of(...claim.csr, ...agreementKey) },
    ],
  ])('of an enrolment does not hold for another %s', (_name, change) => {
    const proof = signEnrolment(key, claim);
    expect(verifyEnrolment(key.publicKey, { ...claim, ...change }, proof)).toBe(false);
  });

  test('that is no signature, or a key that is no key, is refused and not thrown at', () => {
    const sizes = fc.uint8Array({ maxLength: 70 });
    fc.assert(
      fc.property(sizes, sizes, (publicKey, signature) => {
        expect(signatures.verifyUpdate(publicKey, manifest, signature)).toBe(false);
      }),
      { numRuns: 10 },
    );
    expect(signatures.verifyUpdate(new Uint8Array(32), manifest, new Uint8Array(64))).toBe(false);
  });
});
