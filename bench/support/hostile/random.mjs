/** Draws of an attack: all of them come from one seed, so that a finding can be made again. */

/** mulberry32 with a few draws on it. */
export function randomFrom(seed) {
  let state = seed >>> 0;
  const unit = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (count) => Math.floor(unit() * count);
  const bytes = (length) => Buffer.from(Uint8Array.from({ length }, () => below(256)));
  return { unit, below, bytes, pick: (items) => items[below(items.length)] };
}

const oversized = 5 << 20;

const mutations = {
  /** Up to sixteen bits turned. */
  bits: (bytes, random) => {
    const turned = Buffer.from(bytes);
    for (let left = 1 + random.below(16); left > 0 && turned.length > 0; left--) {
      turned[random.below(turned.length)] ^= 1 << random.below(8);
    }
    return turned;
  },
  truncated: (bytes, random) => Buffer.from(bytes.subarray(0, random.below(bytes.length + 1))),
  /** Every field number with a wire type drawn anew. */
  wrongType: (bytes, random) => {
    const fields = Array.from({ length: 16 }, (_, index) => [((index + 1) << 3) | random.below(8), random.below(256)]);
    return Buffer.concat([Buffer.from(fields.flat().map((byte) => byte & 255)), bytes]);
  },
  /** A length that says far more than there is: 2^31 - 1 and more. */
  lyingLength: (bytes, random) =>
    Buffer.concat([Buffer.from([((1 + random.below(15)) << 3) | 2, 255, 255, 255, 255, 7]), bytes]),
  /** Past the limit of a message. */
  oversized: (bytes) => Buffer.concat([bytes, Buffer.from([0x7a, 0x80, 0x80, 0xc0, 0x02]), Buffer.alloc(oversized)]),
  repeated: (bytes, random) => Buffer.concat(Array.from({ length: 2 + random.below(200) }, () => bytes)),
  /** Groups in groups: a reader that recurses goes as deep as it is told. */
  deep: () => Buffer.alloc(200_000, 0x7b),
  noise: (bytes, random) => random.bytes(random.below(4096)),
};

/** A message with one seeded fault. */
export const mutate = (bytes, random) => random.pick(Object.values(mutations))(bytes, random);
