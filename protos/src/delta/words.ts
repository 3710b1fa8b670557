/**
 * Lossless forms of float16 weights that compress. The bits of a float16, read as sign and magnitude, are put in the order
 * of their values (so -0 lies beside 0), and the difference of two such integers is small where training moved a weight
 * little. Small differences of either sign become small numbers (zigzag, protobuf encoding guide), and all low bytes go in
 * front of all high bytes, because the high ones are mostly zero. Any bytes go in and come out the same: what is no
 * float16 is only compressed less well.
 */

/** Bits of a float16 as an integer that grows with its value. */
const ordered = (bits: number): number => ((bits & 0x8000) === 0 ? bits | 0x8000 : ~bits & 0xffff);
const unordered = (place: number): number => ((place & 0x8000) === 0 ? ~place & 0xffff : place & 0x7fff);

/** The difference of `target` to `base`, low bytes then high bytes; a last odd byte follows. Both have the same length. */
export function splitDifference(target: Uint8Array, base: Uint8Array): Uint8Array {
  const words = target.length >> 1;
  const planes = new Uint8Array(target.length);
  for (let word = 0, at = 0; word < words; word++, at += 2) {
    const to = ordered(byte(target, at) | (byte(target, at + 1) << 8));
    const from = ordered(byte(base, at) | (byte(base, at + 1) << 8));
    // To 16 bits with a sign: the difference wraps, and wraps back.
    const difference = ((to - from) << 16) >> 16;
    const zigzag = (difference << 1) ^ (difference >> 15);
    planes[word] = zigzag & 0xff;
    planes[words + word] = (zigzag >> 8) & 0xff;
  }
  if (target.length % 2 === 1) planes[2 * words] = byte(target, 2 * words) ^ byte(base, 2 * words);
  return planes;
}

/** What `splitDifference` was given. */
export function joinDifference(planes: Uint8Array, base: Uint8Array): Uint8Array {
  const words = planes.length >> 1;
  const target = new Uint8Array(planes.length);
  for (let word = 0, at = 0; word < words; word++, at += 2) {
    const zigzag = byte(planes, word) | (byte(planes, words + word) << 8);
    const difference = (zigzag >> 1) ^ -(zigzag & 1);
    const from = ordered(byte(base, at) | (byte(base, at + 1) << 8));
    const to = unordered((from + difference) & 0xffff);
    target[at] = to & 0xff;
    target[at + 1] = to >> 8;
  }
  if (planes.length % 2 === 1) target[2 * words] = byte(planes, 2 * words) ^ byte(base, 2 * words);
  return target;
}

/** Low bytes, then high bytes, then a last odd byte. */
export function splitBytes(target: Uint8Array): Uint8Array {
  const words = target.length >> 1;
  const planes = new Uint8Array(target.length);
  for (let word = 0; word < words; word++) {
    planes[word] = byte(target, 2 * word);
    planes[words + word] = byte(target, 2 * word + 1);
  }
  if (target.length % 2 === 1) planes[2 * words] = byte(target, 2 * words);
  return planes;
}

/** What `splitBytes` was given. */
export function joinBytes(planes: Uint8Array): Uint8Array {
  const words = planes.length >> 1;
  const target = new Uint8Array(planes.length);
  for (let word = 0; word < words; word++) {
    target[2 * word] = byte(planes, word);
    target[2 * word + 1] = byte(planes, words + word);
  }
  if (planes.length % 2 === 1) target[2 * words] = byte(planes, 2 * words);
  return target;
}

/** Every index above lies within; a base that is too short reads as zeros, on both sides. */
function byte(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}
