import { describe, expect, it } from '@jest/globals';
import { assert, constantFrom, integer, oneof, property, tuple } from 'fast-check';

import {
  ceilQuotientOf,
  differenceOf,
  eitherOf,
  floorQuotientOf,
  largerOf,
  productOf,
  quotientOf,
  sizeWith,
  smallerOf,
  sumOf,
  unknownSize,
} from './dimension.js';

const dimension = oneof(
  integer({ min: 1, max: 9 }),
  constantFrom('batch', 'seq', '6*batch', '1+seq', 'past_length + seq', 'seq - 1', 'batch*seq', 'floor((seq)/(2))'),
);

describe('sizes made of symbols', () => {
  it('add, subtract and multiply as numbers do', () => {
    assert(
      property(tuple(dimension, dimension, dimension), ([a, b, c]) => {
        expect(sumOf([a, b])).toBe(sumOf([b, a]));
        expect(productOf([a, b, c])).toBe(productOf([c, productOf([b, a])]));
        expect(productOf([a, sumOf([b, c])])).toBe(sumOf([productOf([a, b]), productOf([a, c])]));
        expect(differenceOf(sumOf([a, b]), b)).toBe(sumOf([a]));
        expect(differenceOf(a, a)).toBe(0);
      }),
    );
  });

  it('have the size that their parts have', () => {
    const given = tuple(integer({ min: 1, max: 7 }), integer({ min: 1, max: 7 }), integer({ min: 1, max: 7 }));
    assert(
      property(tuple(dimension, dimension, given), ([a, b, [batch, seq, past]]) => {
        const sizes = new Map(Object.entries({ batch, seq, past_length: past }));
        const of = (size: number | string): number => sizeWith(size, sizes) ?? NaN;
        expect(of(sumOf([a, b]))).toBe(of(a) + of(b));
        expect(of(differenceOf(a, b))).toBe(of(a) - of(b));
        expect(of(productOf([a, b]))).toBe(of(a) * of(b));
        if (of(a) > 0 && of(b) > 0) {
          const broadcasts = of(a) === 1 || of(b) === 1 || of(a) === of(b);
          expect(broadcasts ? of(eitherOf(a, b)) : 0).toBe(broadcasts ? Math.max(of(a), of(b)) : 0);
          expect(of(smallerOf(a, b))).toBe(Math.min(of(a), of(b)));
          expect(of(largerOf(a, b))).toBe(Math.max(of(a), of(b)));
          expect(of(floorQuotientOf(a, b))).toBe(Math.floor(of(a) / of(b)));
          expect(of(ceilQuotientOf(a, b))).toBe(Math.ceil(of(a) / of(b)));
        }
        expect(sizeWith(sumOf([a, 'other']), sizes)).toBeUndefined();
      }),
    );
  });

  it.each([
    [sumOf(['seq', 'past', 'seq']), 'past+2*seq'],
    [sumOf(['past_sequence_length + sequence_length', 1]), '1+past_sequence_length+sequence_length'],
    [sumOf(['seq - 1', 1]), 'seq'],
    [productOf(['seq', 3, 'batch']), '3*batch*seq'],
    [productOf([0, 'batch']), 0],
    [quotientOf('6*batch*seq', '2*batch'), '3*seq'],
    [quotientOf('4+2*seq', 2), '2+seq'],
    [quotientOf('1+seq', '1+seq'), 1],
    [quotientOf('6*batch', 4), undefined],
    [quotientOf('seq', 'batch'), undefined],
    [floorQuotientOf('seq', 2), 'floor((seq)/(2))'],
    [ceilQuotientOf('6*seq', 4), 'ceil((6*seq)/(4))'],
    [ceilQuotientOf(7, 2), 4],
    [smallerOf('seq', '1+seq'), 'seq'],
    [smallerOf(1, 'seq'), 1],
    [smallerOf(4, 'seq'), 'min(4,seq)'],
    [smallerOf('seq', 4), 'min(4,seq)'],
    [largerOf(1, 'past+seq'), 'past+seq'],
    [largerOf('seq', 4), 'max(4,seq)'],
    [eitherOf('past + seq', 'seq+past'), 'past+seq'],
    [eitherOf('seq', 1), 'seq'],
    [eitherOf(7, 'seq'), 7],
    [eitherOf(eitherOf('b', 'a'), eitherOf('c+1', 'a')), 'max(1+c,a,b)'],
  ])('%s is %s', (found, expected) => {
    expect(found).toBe(expected);
  });

  it('names of nodes cannot be taken for sums or products', () => {
    const size = unknownSize('a*b + c', 'axis 0');
    expect(sumOf([size, 1])).toBe(`1+${size}`);
    expect(quotientOf(size, 'b')).toBeUndefined();
  });
});
