/** Products with turned factors: the same operators' numbers, whichever form is written. */
import { assert, asyncProperty, boolean, integer } from 'fast-check';

import { random } from '@graft/core/random';
import { elementCount, tensor, type Tensor } from '@graft/core/tensor';

import { onnxRuntime } from '../../runtime/onnxruntime.adapter.js';
import { GraphBuilder } from '../graph-builder.js';
import type { Lowering } from '../lowering.js';
import { TypeScope } from '../type-scope.js';
import { turnedProduct, type Turned } from './turned-product.js';

const values = (shape: readonly number[], seed: number): Tensor<'float32'> => {
  const stream = random(seed);
  return tensor(
    'float32',
    shape,
    Float32Array.from({ length: elementCount(shape) }, () => stream.next() * 2 - 1),
  );
};

async function run(
  feeds: { readonly a: Tensor; readonly b: Tensor },
  turns: Omit<Turned, 'a' | 'b'>,
  lowering: Lowering,
): Promise<{ value: Tensor; ops: string[] }> {
  const scope = new TypeScope();
  const inputs = Object.entries(feeds).map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  for (const { name, dtype, shape } of inputs) scope.declare(name, { dtype, shape });
  const build = new GraphBuilder(scope, 'product/', lowering);
  const name = turnedProduct({ a: 'a', b: 'b', ...turns }, build);
  const outputs = [{ name, dtype: 'float32' as const }];
  const graph = { name: 'product', inputs, outputs, weights: [], nodes: build.nodes };
  const session = await onnxRuntime.load({ graph, weights: new Map() }, { threads: 1, purpose: 'training' });
  try {
    const value = (await session.run(feeds))[name];
    if (value === undefined) throw new Error('there is no product');
    expect(build.shapeOf(name)).toEqual(value.shape);
    return { value, ops: build.nodes.map(({ op }) => op) };
  } finally {
    await session.dispose();
  }
}

const turnedIf = (turn: boolean, [rows = 1, columns = 1]: readonly number[]): number[] =>
  turn ? [columns, rows] : [rows, columns];

describe('a product with turned factors', () => {
  it('is the sum over the inner axis, in every form', async () => {
    const size = integer({ min: 1, max: 6 });
    await assert(
      asyncProperty(
        size,
        size,
        size,
        integer({ min: 0, max: 3 }),
        boolean(),
        boolean(),
        async (n, k, m, batch, turnA, turnB) => {
          const lead = batch === 0 ? [] : [batch];
          const a = values([...lead, ...turnedIf(turnA, [n, k])], 1);
          const b = values([...lead, ...turnedIf(turnB, [k, m])], 2);
          const at = (
            value: Tensor,
            turn: boolean,
            [c = 0, i = 0, j = 0]: number[],
            [rows = 1, columns = 1]: number[],
          ) => Number(value.data[c * rows * columns + (turn ? j * rows + i : i * columns + j)]);
          const expected = Array.from({ length: Math.max(1, batch) * n * m }, (_, place) => {
            const [c, i, j] = [Math.floor(place / (n * m)), Math.floor(place / m) % n, place % m];
            return Array.from(
              { length: k },
              (__, l) => at(a, turnA, [c, i, l], [n, k]) * at(b, turnB, [c, l, j], [k, m]),
            ).reduce((sum, each) => sum + each, 0);
          });
          for (const lowering of [{}, { fusedProducts: true } as const]) {
            const { value } = await run({ a, b }, { turnA, turnB }, lowering);
            expect(Math.max(...expected.map((each, i) => Math.abs(each - Number(value.data[i]))))).toBeLessThan(1e-5);
          }
        },
      ),
      { numRuns: 25 },
    );
  }, 60_000);

  it('turns batches in the product only where the session can', async () => {
    const feeds = { a: values([2, 3, 4], 1), b: values([2, 5, 4], 2) };
    expect((await run(feeds, { turnB: true }, {})).ops).toEqual(['Transpose', 'MatMul']);
    expect((await run(feeds, { turnB: true }, { fusedProducts: true })).ops).toEqual(['FusedMatMul']);
  });

  it('turns single matrices in any session', async () => {
    const feeds = { a: values([3, 4], 1), b: values([5, 4], 2) };
    expect((await run(feeds, { turnB: true }, {})).ops).toEqual(['Gemm']);
  });

  it('keeps to the standard operators where one factor is shared by a batch', async () => {
    const feeds = { a: values([2, 3, 4], 1), b: values([1, 5, 4], 2) };
    expect((await run(feeds, { turnB: true }, { fusedProducts: true })).ops).toEqual(['Transpose', 'MatMul']);
  });
});
