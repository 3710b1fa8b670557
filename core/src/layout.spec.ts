import * as fc from 'fast-check';

import { canonicalLayout, flatten, layoutOf } from './layout.js';
import { tensor, type Tensor } from './tensor.js';

const weights = new Map<string, Tensor>([
  ['head.weight', tensor('float32', [2, 2], Float32Array.of(1, 2, 3, 4))],
  ['head.bias', tensor('float32', [2], Float32Array.of(5, 6))],
]);
const layout = layoutOf([...weights].map(([name, { shape }]) => [name, shape]));

describe('a layout', () => {
  it('sorts names by code unit, so that every site derives the same vector', () => {
    expect(layout.entries.map(({ name, offset }) => [name, offset])).toEqual([
      ['head.bias', 0],
      ['head.weight', 2],
    ]);
    expect([...flatten(layout, weights)]).toEqual([5, 6, 1, 2, 3, 4]);
  });

  it('is the same for any order of the same tensors', () => {
    const shapes = fc.uniqueArray(fc.tuple(fc.string(), fc.array(fc.nat(5), { maxLength: 3 })), {
      selector: ([name]) => name,
    });
    fc.assert(
      fc.property(shapes, (all) => {
        expect(canonicalLayout(layoutOf(all.toReversed()))).toBe(canonicalLayout(layoutOf(all)));
      }),
    );
  });

  it('refuses weights that lack a name or have another shape or type, naming both', () => {
    expect(() => flatten(layout, new Map())).toThrow("expects float32 'head.bias' of shape [2], got nothing");
    const other = new Map<string, Tensor>([...weights, ['head.bias', tensor('float32', [1, 2], new Float32Array(2))]]);
    expect(() => flatten(layout, other)).toThrow('got float32 [1, 2]');
    const integers = new Map<string, Tensor>([...weights, ['head.bias', tensor('int32', [2], new Int32Array(2))]]);
    expect(() => flatten(layout, integers)).toThrow('got int32 [2]');
  });
});
