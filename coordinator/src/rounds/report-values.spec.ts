import * as fc from 'fast-check';

import { shorten } from './report-values.js';

describe('text of an agent', () => {
  test('is cut to its length, with a sign that it was cut', () => {
    expect(shorten('abcdef', 6)).toBe('abcdef');
    expect(shorten('abcdefg', 6)).toBe('abcde…');
  });

  test('holds nothing that the database refuses', () => {
    expect(shorten('a\0b\ud83dc', 10)).toBe('a\ufffdb\ufffdc');
    // Cut in the middle of an owl.
    expect(shorten('ab🦉cd', 4)).toBe('ab\ufffd…');
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 1, max: 20 }), (text, length) => {
        const short = shorten(text, length);
        expect(short.length).toBeLessThanOrEqual(length);
        expect(short).not.toContain('\0');
        expect(Buffer.from(short).toString()).toBe(short);
      }),
    );
  });
});
