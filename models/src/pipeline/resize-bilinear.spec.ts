import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';

import { resizeBilinear } from './resize-bilinear.js';

/** Values from PyTorch 2.15: interpolate(x, size, mode='bilinear', align_corners=False, antialias=True). */
const pixels = Uint8Array.from({ length: 35 }, (_, i) => (i * 37) % 256);
const source = { width: 7, height: 5, channels: 1, pixels };

/** Equal up to float32 sums in another order. */
const close = (expected: readonly number[]): unknown[] =>
  expected.map((number) => expect.closeTo(number, 4) as unknown);

describe('bilinear resizing', () => {
  it('enlarges as PyTorch does', () => {
    const small = { width: 2, height: 2, channels: 1, pixels: Uint8Array.of(0, 100, 200, 40) };
    expect([...resizeBilinear(small, { width: 4, height: 4 })]).toEqual(
      close([0, 25, 75, 100, 50, 58.75, 76.25, 85, 150, 126.25, 78.75, 55, 200, 160, 80, 40]),
    );
    expect([...resizeBilinear(source, { width: 9, height: 7 }).subarray(0, 12)]).toEqual(
      close([
        0, 24.666669845581055, 53.44444274902344, 82.22222900390625, 111, 139.77777099609375, 168.5555725097656,
        197.33334350585938, 222, 1.714285612106323, 26.380956649780273, 55.15872573852539,
      ]),
    );
  });

  it('shrinks as PyTorch does with antialias', () => {
    expect([...resizeBilinear(source, { width: 4, height: 3 })]).toEqual(
      close([
        20.66666603088379, 78.24571990966797, 146.32569885253906, 203.90475463867188, 25.380950927734375,
        82.96000671386719, 151.0399932861328, 208.61903381347656, 30.09523582458496, 87.67428588867188,
        155.7542724609375, 213.33331298828125,
      ]),
    );
  });

  it('shrinks one side while it enlarges the other', () => {
    expect([...resizeBilinear(source, { width: 3, height: 7 }).subarray(0, 6)]).toEqual(
      close([31.714282989501953, 111, 190.28570556640625, 33.42856979370117, 112.71429443359375, 192]),
    );
  });

  it('keeps every pixel of an image that has the size already, channel by channel', () => {
    const colour = { width: 2, height: 1, channels: 3, pixels: Uint8Array.of(1, 2, 3, 4, 5, 6) };
    expect(resizeBilinear(colour, { width: 2, height: 1 })).toEqual(Float32Array.of(1, 4, 2, 5, 3, 6));
  });

  it('stays within the darkest and the brightest pixel', () => {
    const side = fc.integer({ min: 1, max: 9 });
    fc.assert(
      fc.property(side, side, side, side, fc.nat({ max: 255 }), (width, height, toWidth, toHeight, seed) => {
        const raster = Uint8Array.from({ length: width * height }, (_, i) => (i * 97 + seed) % 256);
        const values = resizeBilinear(
          { width, height, channels: 1, pixels: raster },
          { width: toWidth, height: toHeight },
        );
        const [least, most] = [Math.min(...raster), Math.max(...raster)];
        expect(values).toHaveLength(toWidth * toHeight);
        expect(Math.min(...values)).toBeGreaterThanOrEqual(least - 1e-4);
        expect(Math.max(...values)).toBeLessThanOrEqual(most + 1e-4);
      }),
    );
  });
});
