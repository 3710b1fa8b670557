/** Masks against the same arithmetic in whole numbers, and their chances. */
import * as fc from 'fast-check';

import { tensor, type Tensor } from '@graft/core/tensor';

import type { Model } from '../../graph/graph.js';
import { onnxRuntime } from '../../runtime/onnxruntime.adapter.js';
import { modelOf } from '../gradient-graph.contract.js';
import { seedName, withDropout } from './dropout.js';
import { exactRate } from './masks.js';

type Shape = readonly (number | string)[];

/** y = x dropped; the model of Identity, Dropout, Identity. */
function dropped(shape: Shape, rate: number): Model {
  const model = modelOf(shape, new Map(), { output: 'y', nodes: (build) => build.add('Dropout', ['x']) });
  const { graph, weights } = withDropout(model, { rate });
  return { graph: { ...graph, inputs: [...graph.inputs, { name: seedName, dtype: 'float32', shape: [] }] }, weights };
}

const ones = (shape: readonly number[]): Tensor<'float32'> =>
  tensor('float32', shape, new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(1));

async function masks(model: Model, shape: readonly number[], seeds: readonly number[]): Promise<number[][]> {
  const session = await onnxRuntime.load(model, { threads: 1, purpose: 'training' });
  const found: number[][] = [];
  for (const seed of seeds) {
    const { y } = await session.run({ x: ones(shape), [seedName]: tensor('float32', [], Float32Array.of(seed)) });
    found.push(Array.from(y?.data as Float32Array));
  }
  await session.dispose();
  return found;
}

/** The hash in BigInt-free whole numbers: what the graph computes with float32. */
function hash(counter: number, seed: number, salt: number): [number, number] {
  let [high, low] = [counter >> 12, counter & 4095];
  for (let round = 0; round < 6; round++) {
    const key = (round % 2 === 0 ? seed >> 12 : seed & 4095) + ((salt * 2053 + round * 1597 + 911) % 4096);
    const keyed = (low + key) & 4095;
    [high, low] = [keyed, (high + ((keyed * keyed) >> 6)) & 4095];
  }
  return [high, low];
}

function isKept(
  [row, column]: readonly [number, number],
  { seed, rate, site = 0 }: { seed: number; rate: number; site?: number },
): boolean {
  const [r, a] = hash(row, seed, 2 * site);
  const [c, b] = hash(column, seed, 2 * site + 1);
  return (((r >> 1) * c + (a + b) * 64) & (2 ** 18 - 1)) >= exactRate(rate) * 2 ** 18;
}

const correlation = (a: readonly number[], b: readonly number[]): number => {
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [ma, mb] = [mean(a), mean(b)];
  const products = (x: readonly number[], mx: number, y: readonly number[], my: number): number =>
    mean(x.map((value, i) => (value - mx) * ((y[i] ?? 0) - my)));
  return products(a, ma, b, mb) / Math.sqrt(products(a, ma, a, ma) * products(b, mb, b, mb));
};

describe('a mask', () => {
  it('has the bits that whole numbers give, for every seed, rate and shape', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 2 ** 24 - 1 }),
        fc.constantFrom(0.1, 0.25, 0.5, 0.9),
        fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 9 })),
        async (seed, rate, shape) => {
          const [mask = []] = await masks(dropped(shape, rate), shape, [seed]);
          const width = shape[1] * shape[2];
          const scale = Math.fround(1 / (1 - exactRate(rate)));
          const expected = mask.map((_, i) => (isKept([Math.floor(i / width), i % width], { seed, rate }) ? scale : 0));
          expect(mask).toEqual(expected);
        },
      ),
      { numRuns: 25 },
    );
  });

  it('keeps the share that its rate says, and the mean', async () => {
    for (const rate of [0.1, 0.5, 0.8]) {
      const found = await masks(dropped([64, 257], rate), [64, 257], [1, 2, 3, 77_777, 2 ** 24 - 1]);
      for (const mask of found) {
        const kept = mask.filter((value) => value > 0).length / mask.length;
        expect(Math.abs(kept - (1 - rate))).toBeLessThan(5 * Math.sqrt((rate * (1 - rate)) / mask.length));
      }
    }
  });

  it('tells nothing of another seed, another row, or another column', async () => {
    const [rows, width] = [128, 200];
    const found = await masks(dropped([rows, width], 0.5), [rows, width], [0, 1, 4096, 4097, 123_456]);
    const bound = 5 / Math.sqrt(rows * width);
    const row = (mask: readonly number[], i: number): number[] => mask.slice(i * width, (i + 1) * width);
    for (const [i, mask] of found.entries()) {
      for (const other of found.slice(i + 1)) expect(Math.abs(correlation(mask, other))).toBeLessThan(bound);
      const nextRow = [...mask.slice(width), ...row(mask, 0)];
      expect(Math.abs(correlation(mask, nextRow))).toBeLessThan(bound);
      expect(Math.abs(correlation(mask.slice(1), mask.slice(0, -1)))).toBeLessThan(bound);
    }
  });

  it('of a symbolic batch has the rows of a fixed one', async () => {
    const [fixed] = await masks(dropped([6, 11], 0.3), [6, 11], [5]);
    const [free] = await masks(dropped(['batch', 11], 0.3), [6, 11], [5]);
    expect(free).toEqual(fixed);
  });

  it('differs between two nodes of one graph', async () => {
    const model = modelOf([4, 50], new Map(), {
      output: 'y',
      nodes: (build) => build.add('Concat', [build.add('Dropout', ['x']), build.add('Dropout', ['x'])], { axis: 1 }),
    });
    const { graph, weights } = withDropout(model, {});
    const inputs = [...graph.inputs, { name: seedName, dtype: 'float32', shape: [] } as const];
    const [mask = []] = await masks({ graph: { ...graph, inputs }, weights }, [4, 50], [9]);
    expect(mask.slice(0, 50)).not.toEqual(mask.slice(50, 100));
  });

  it.each([-0.1, 1, NaN])('has no rate %d', (rate) => {
    expect(() => dropped([2, 2], rate)).toThrow(expect.objectContaining({ code: 'MODEL_UNSUPPORTED' }));
  });

  it('stands after a value that the caller names, and refuses one that nothing makes', async () => {
    const model = modelOf([8, 64], new Map(), { output: 'y', nodes: (build) => build.add('Relu', ['x']) });
    const value = model.graph.nodes[0]?.outputs[0] ?? '';
    const { graph, weights } = withDropout(model, { after: [value], rate: 0.5 });
    const inputs = [...graph.inputs, { name: seedName, dtype: 'float32', shape: [] } as const];
    const [mask = []] = await masks({ graph: { ...graph, inputs }, weights }, [8, 64], [9]);
    expect(new Set(mask)).toEqual(new Set([0, 2]));
    expect(() => withDropout(model, { after: ['nothing'] })).toThrow(
      expect.objectContaining({ code: 'TENSOR_UNKNOWN' }),
    );
  });
});
