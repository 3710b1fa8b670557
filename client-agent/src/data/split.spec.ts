import { array, assert, constantFrom, integer, property, record, uniqueArray } from 'fast-check';

import { noPins, sideOf, splitRecords, type SplitPins } from './split.js';

const hash = array(integer({ min: 0, max: 15 }), { minLength: 64, maxLength: 64 }).map((digits) =>
  digits.map((digit) => digit.toString(16)).join(''),
);
const labelled = record({ hash, label: constantFrom('a', 'b', 'c') });
const records = uniqueArray(labelled, { selector: ({ hash: key }) => key, maxLength: 60 });

describe('the held-out tenth', () => {
  it('is about a tenth of many records', () => {
    const many = Array.from({ length: 5_000 }, (_, index) => ({
      hash: Math.imul(index + 1, 0x9e3779b1)
        .toString(16)
        .replace('-', '')
        .padStart(8, '0')
        .padEnd(64, '0'),
      label: String(index % 10),
    }));
    const share = splitRecords(many, noPins).heldOut.size / many.length;
    expect(share).toBeGreaterThan(0.07);
    expect(share).toBeLessThan(0.23);
  });

  it('never moves a record when more records arrive', () => {
    assert(
      property(records, array(integer({ min: 1, max: 20 }), { maxLength: 8 }), (all, steps) => {
        let pins: SplitPins = noPins;
        let seen = 0;
        let before = new Map<string, boolean>();
        for (const step of [...steps, all.length]) {
          seen = Math.min(all.length, seen + step);
          const split = splitRecords(all.slice(0, seen), pins);
          for (const [key, side] of before) expect(split.heldOut.has(key)).toBe(side);
          before = new Map(all.slice(0, seen).map(({ hash: key }) => [key, split.heldOut.has(key)]));
          pins = split.pins;
        }
      }),
    );
  });

  it('does not depend on the order of the records', () => {
    assert(
      property(records, (all) => {
        const forwards = splitRecords(all, noPins);
        const backwards = splitRecords(all.toReversed(), noPins);
        expect([...backwards.heldOut].sort()).toEqual([...forwards.heldOut].sort());
        expect(backwards.pins).toEqual(forwards.pins);
      }),
    );
  });

  it('holds out one record of a class of two whose hashes are both outside the tenth', () => {
    const low = '8'.repeat(64);
    const high = 'f'.repeat(64);
    const { heldOut } = splitRecords(
      [
        { hash: high, label: 'a' },
        { hash: low, label: 'a' },
      ],
      noPins,
    );
    expect([...heldOut]).toEqual([low]);
  });

  it('trains with the only record of a class, and goes on to do so', () => {
    const only = { hash: '8'.repeat(64), label: 'a' };
    const first = splitRecords([only], noPins);
    expect(first.heldOut.size).toBe(0);
    const later = splitRecords([only, { hash: 'f'.repeat(64), label: 'a' }], first.pins);
    expect([...later.heldOut]).toEqual(['f'.repeat(64)]);
  });
});

describe('training, validation and test', () => {
  it('share the records as they are told, by hash alone', () => {
    assert(
      property(hash, (key) => {
        const side = sideOf(key, { test: 0.1, validation: 0.2 });
        expect(sideOf(key, { test: 0.1, validation: 0.2 })).toBe(side);
        // A larger validation share moves records out of training, and none out of test.
        const larger = sideOf(key, { test: 0.1, validation: 0.4 });
        if (side !== 'training') expect(larger).toBe(side);
        if (side === 'test') expect(sideOf(key, { test: 0.1 })).toBe('test');
        expect(sideOf(key, { test: 0 })).toBe('training');
      }),
    );
    expect(
      [0, 0x1999, 0x199a, 0x4cce].map((place) =>
        sideOf(place.toString(16).padStart(4, '0').padEnd(64, '0'), { test: 0.1, validation: 0.2 }),
      ),
    ).toEqual(['test', 'test', 'validation', 'training']);
  });

  it('cannot be more than the whole', () => {
    expect(() => sideOf('0'.repeat(64), { test: 0.7, validation: 0.4 })).toThrow(RangeError);
    expect(() => sideOf('0'.repeat(64), { test: NaN })).toThrow(RangeError);
  });
});
