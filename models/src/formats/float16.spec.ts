import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';

import { fromFloat16, toFloat16 } from './float16.js';

/** IEEE 754-2019 binary16 values, from the tables of https://en.wikipedia.org/wiki/Half-precision_floating-point_format. */
const table: readonly (readonly [bits: number, value: number])[] = [
  [0x0000, 0],
  [0x0001, 2 ** -24],
  [0x0002, 2 ** -23],
  [0x03ff, 2 ** -14 * (1023 / 1024)],
  [0x0400, 2 ** -14],
  [0x3555, 0.333251953125],
  [0x3bff, 0.99951171875],
  [0x3c00, 1],
  [0x3c01, 1.0009765625],
  [0x4000, 2],
  [0x7bff, 65504],
  [0x7c00, Infinity],
  [0x8000, -0],
  [0x8001, -(2 ** -24)],
  [0xc000, -2],
  [0xfbff, -65504],
  [0xfc00, -Infinity],
];

/** The definition, written with powers instead of bits. */
function valueOf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * 2 ** -14 * (fraction / 1024) : sign * 2 ** (exponent - 15) * (1 + fraction / 1024);
}

const allBits = Uint16Array.from({ length: 65536 }, (_, bits) => bits);

describe('float16', () => {
  it('knows the published values in both directions', () => {
    for (const [bits, value] of table) {
      expect(fromFloat16(Uint16Array.of(bits))[0]).toBe(value);
      expect(toFloat16(Float32Array.of(value))[0]).toBe(bits);
    }
  });

  it('reads each of the 65,536 bit patterns as the definition says', () => {
    expect(fromFloat16(allBits)).toEqual(Float32Array.from(allBits, valueOf));
  });

  it('keeps every value that has a half exactly, and NaN as a quiet NaN', () => {
    const quiet = allBits.map((bits) => (Number.isNaN(valueOf(bits)) ? bits | 0x200 : bits));
    expect(toFloat16(fromFloat16(allBits))).toEqual(quiet);
  });

  it('sends a tie to the even neighbour, and what lies past the largest value to infinity', () => {
    const rounded = (value: number): number => toFloat16(Float32Array.of(value))[0] ?? -1;
    expect(rounded(2049)).toBe(0x6800); // 2048, even
    expect(rounded(2051)).toBe(0x6802); // 2052, even
    expect(rounded(2 ** -25)).toBe(0);
    expect(rounded(2 ** -25 * (1 + 2 ** -20))).toBe(1);
    expect(rounded(3 * 2 ** -25)).toBe(2);
    expect(rounded(65519.99609375)).toBe(0x7bff);
    expect(rounded(65520)).toBe(0x7c00);
    expect(fromFloat16(toFloat16(Float32Array.of(NaN)))).toEqual(Float32Array.of(NaN));
  });

  it('chooses no value that is farther than a neighbour', () => {
    const finite = [...allBits].map(valueOf).filter(Number.isFinite);
    const steps = [...new Set(finite)].sort((a, b) => a - b);
    fc.assert(
      fc.property(fc.float({ min: -65504, max: 65504, noNaN: true }), (value) => {
        const chosen = fromFloat16(toFloat16(Float32Array.of(value)))[0] ?? NaN;
        const place = steps.indexOf(chosen + 0);
        const neighbours = [steps[place - 1], steps[place + 1]].filter((step) => step !== undefined);
        for (const step of neighbours) expect(Math.abs(chosen - value)).toBeLessThanOrEqual(Math.abs(step - value));
      }),
      { numRuns: 300 },
    );
  });
});
