import { tensor } from '@graft/core/tensor';
import { array, assert, integer, property } from 'fast-check';

import { batchesOf } from './batch-source.js';

const x = tensor('float32', [4, 2], Float32Array.of(0, 1, 10, 11, 20, 21, 30, 31));
const labels = tensor('int32', [4], Int32Array.of(5, 6, 7, 8));

describe('batches of tensors in memory', () => {
  it('have the rows that were asked for, of every tensor', () => {
    assert(
      property(array(integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 9 }), (rows) => {
        const feeds = batchesOf({ x, labels }).batch(rows, 0);
        expect(feeds).toEqual({
          x: tensor('float32', [rows.length, 2], Float32Array.from(rows.flatMap((row) => [row * 10, row * 10 + 1]))),
          labels: tensor(
            'int32',
            [rows.length],
            Int32Array.from(rows, (row) => row + 5),
          ),
        });
      }),
    );
  });

  it('stay as they are while the next one is made', async () => {
    const source = batchesOf({ x });
    const first = await source.batch([0], 0);
    await source.batch([1], 0);
    expect(first.x?.data).toEqual(Float32Array.of(0, 1));
  });

  it('are refused without rows and where tensors differ in their rows', () => {
    expect(() => batchesOf({ x: tensor('float32', [0, 2], new Float32Array(0)) })).toThrow(/no example/);
    expect(() => batchesOf({ x, labels: tensor('int32', [3], new Int32Array(3)) })).toThrow(
      /'x' has 4 rows and 'labels' has 3/,
    );
  });
});
