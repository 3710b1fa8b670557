import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';

import * as fc from 'fast-check';

import { random } from '@graft/core/random';

import { applyDelta } from './apply.adapter.js';
import { packBlock } from './blocks.adapter.js';
import { blockBytes, blockForms, encodeFrame, encodeHeader, type DeltaHeader } from './format.js';
import { joinBytes, joinDifference, splitBytes, splitDifference } from './words.js';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'graft-delta-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const headerOf = (base: Uint8Array, target: Uint8Array): DeltaHeader => ({
  sizeBytes: target.length,
  from: sha256(base),
  to: sha256(target),
});

function deltaOf(base: Uint8Array, target: Uint8Array): Uint8Array {
  const parts = [encodeHeader(headerOf(base, target))];
  for (let at = 0; at < target.length; at += blockBytes) {
    parts.push(packBlock(target.subarray(at, at + blockBytes), base.subarray(at, at + blockBytes)));
  }
  return Buffer.concat(parts);
}

async function applied(base: Uint8Array, delta: Uint8Array, header: DeltaHeader): Promise<Uint8Array> {
  const files = { base: join(folder, 'base'), delta: join(folder, 'delta'), target: join(folder, 'target') };
  await writeFile(files.base, base);
  await writeFile(files.delta, delta);
  await applyDelta(files, header);
  return readFile(files.target);
}

/** float16 weights, and the same after a training that moved each a little. */
function trained(words: number): { base: Uint8Array; target: Uint8Array } {
  const chance = random(3);
  const base = new Uint8Array(2 * words);
  const target = new Uint8Array(2 * words);
  const [from, to] = [new DataView(base.buffer), new DataView(target.buffer)];
  for (let word = 0; word < words; word++) {
    const bits = Math.floor(0x2400 + chance.next() * 0x800) | (chance.next() < 0.5 ? 0x8000 : 0);
    from.setUint16(2 * word, bits, true);
    to.setUint16(2 * word, bits + Math.round(chance.normal() * 3), true);
  }
  return { base, target };
}

describe('the words of a delta', () => {
  const pairs = fc.uint8Array({ maxLength: 64 }).chain((target) =>
    fc.record({
      target: fc.constant(target),
      base: fc.uint8Array({ minLength: target.length, maxLength: target.length }),
    }),
  );

  test('give back any bytes, over any base', () => {
    fc.assert(
      fc.property(pairs, ({ target, base }) => {
        expect(joinDifference(splitDifference(target, base), base)).toEqual(target);
        expect(joinBytes(splitBytes(target))).toEqual(target);
      }),
    );
  });

  test('give back every float16 over every kind of base: zeros, subnormal, infinite, not a number', () => {
    const target = new Uint8Array(Uint16Array.from({ length: 65_536 }, (_, bits) => bits).buffer);
    for (const bits of [0, 0x8000, 1, 0x3c00, 0x7c00, 0xfc00, 0x7e00, 0xffff]) {
      const base = new Uint8Array(new Uint16Array(65_536).fill(bits).buffer);
      expect(Buffer.compare(joinDifference(splitDifference(target, base), base), target)).toBe(0);
    }
  });

  test('of neighbouring values are small, also across zero', () => {
    const [base, target] = [0x8000, 0x0000].map((bits) => new Uint8Array(Uint16Array.of(bits, 0x3c01).buffer));
    expect([...splitDifference(target ?? new Uint8Array(), base ?? new Uint8Array())]).toEqual([2, 0, 0, 0]);
  });
});

describe('a delta', () => {
  test('gives back the target, whatever base and sizes', async () => {
    const sizes = [0, 1, 2, 999, blockBytes - 1, blockBytes, blockBytes + 1, 2 * blockBytes + 7];
    for (const size of sizes) {
      const base = Uint8Array.from({ length: size }, (_, index) => (index * 7) % 251);
      const target = Uint8Array.from({ length: size }, (_, index) => (index * 7 + (index % 3)) % 251);
      const delta = deltaOf(base, target);
      expect(Buffer.compare(await applied(base, delta, headerOf(base, target)), target)).toBe(0);
    }
  });

  test('of a little training is less than half of the weights, of noise hardly more than the noise', () => {
    const { base, target } = trained(blockBytes / 2);
    expect(deltaOf(base, target).length).toBeLessThan(target.length / 2);
    const chance = random(1);
    const noise = Uint8Array.from({ length: 10_000 }, () => Math.floor(chance.next() * 256));
    expect(deltaOf(new Uint8Array(10_000), noise).length).toBeLessThan(noise.length + 100);
  });

  test('of the same weights is next to nothing', () => {
    const { base } = trained(blockBytes / 2);
    expect(deltaOf(base, base).length).toBeLessThan(base.length / 50);
  });

  test('with any byte changed, or cut anywhere, is refused or makes the target', async () => {
    const { base, target } = trained(200);
    const delta = deltaOf(base, target);
    const header = headerOf(base, target);
    await fc.assert(
      fc.asyncProperty(
        fc.nat(delta.length - 1),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        async (at, flip, isCut) => {
          const damaged = isCut ? delta.subarray(0, at) : Uint8Array.from(delta);
          if (!isCut) damaged[at] = (damaged[at] ?? 0) ^ flip;
          const code = await applied(base, damaged, header).then(
            (made) => (Buffer.compare(made, target) === 0 ? 'the target' : 'something else'),
            (error: unknown) => Object(error).code,
          );
          expect(code).toMatch(/^(DELTA_INVALID|the target)$/u);
        },
      ),
      { numRuns: 60 },
    );
  });

  const base = new Uint8Array(1_000).fill(1);
  const target = new Uint8Array(1_000).fill(2);
  const header = headerOf(base, target);
  const block = (form: number, bytes: Uint8Array, says = bytes.length): Uint8Array =>
    Buffer.concat([encodeHeader(header), encodeFrame(form as 0, says), bytes]);

  test.each([
    ['another file', Buffer.alloc(100), 'another file type'],
    ['a cut header', encodeHeader(header).subarray(0, 20), 'within its header'],
    ['another base', encodeHeader({ ...header, from: 'a'.repeat(64) }), 'another base'],
    ['another target', encodeHeader({ ...header, to: 'a'.repeat(64) }), 'does not make'],
    ['another size', encodeHeader({ ...header, sizeBytes: 2 ** 52 }), 'not of files of 1000 bytes'],
    ['no blocks', encodeHeader(header), 'within a frame'],
    ['a form that nobody knows', block(9, new Uint8Array(10)), 'form 9'],
    ['a length past the end', block(blockForms.stored, new Uint8Array(10), 1_000), 'within block 0'],
    ['a length of 4 GB', block(blockForms.difference, new Uint8Array(10), 0xffff_ffff), '4294967295 bytes for 1000'],
    ['a stored block of another length', block(blockForms.stored, new Uint8Array(999)), '999 bytes for 1000'],
    ['a block that is no deflate', block(blockForms.bytes, new Uint8Array(10).fill(255)), 'does not unpack'],
    [
      'a bomb',
      block(blockForms.difference, deflateRawSync(new Uint8Array(1e6)).subarray(0, 990)),
      'does not unpack to 1000',
    ],
    [
      'a block that is too short',
      block(blockForms.bytes, deflateRawSync(new Uint8Array(900))),
      '900 bytes, it must have 1000',
    ],
    ['bytes behind', Buffer.concat([deltaOf(base, target), Buffer.from('x')]), 'behind its last block'],
    ['another result', block(blockForms.stored, new Uint8Array(1_000)), 'makes a file with sha256'],
  ])('with %s is refused', async (_, delta, why) => {
    await expect(applied(base, delta, header)).rejects.toMatchObject({
      code: 'DELTA_INVALID',
      message: expect.stringContaining(why),
    });
  });

  test('over a base that is shorter is refused', async () => {
    await expect(applied(base.subarray(0, 500), deltaOf(base, target), header)).rejects.toThrow('ends at byte 500');
  });
});
