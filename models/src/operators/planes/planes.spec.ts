/** Sums and lines by channel in every form against float64. */
import { assert, asyncProperty, constantFrom, integer } from 'fast-check';

import { random } from '@graft/core/random';
import { elementCount, tensor, type Tensor } from '@graft/core/tensor';

import { sessionLowering } from '../../runtime/blocked-convolution.adapter.js';
import { onnxRuntime } from '../../runtime/onnxruntime.adapter.js';
import { GraphBuilder } from '../graph-builder.js';
import { standardLowering, type Lowering } from '../lowering.js';
import { TypeScope } from '../type-scope.js';
import { dotByChannel } from './dot-by-channel.js';
import { lineInLanes } from './line-in-lanes.js';
import { repeatedLast } from './outer-product.js';

const values = (shape: readonly number[], seed: number): Tensor<'float32'> => {
  const stream = random(seed);
  const data = Float32Array.from({ length: elementCount(shape) }, () => stream.next() * 2 - 1);
  return tensor('float32', shape, data);
};

/** The result of what `write` adds to a graph of these inputs, and the operators that it took. */
async function run(
  feeds: Readonly<Record<string, Tensor>>,
  lowering: Lowering,
  write: (build: GraphBuilder) => string | undefined,
): Promise<{ value: Tensor; ops: string[] } | undefined> {
  const scope = new TypeScope();
  const inputs = Object.entries(feeds).map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  for (const { name, dtype, shape } of inputs) scope.declare(name, { dtype, shape });
  const build = new GraphBuilder(scope, 'planes/', lowering);
  const name = write(build);
  if (name === undefined) return undefined;
  const weights = [...build.constants].map(([constant, { dtype, shape }]) => ({ name: constant, dtype, shape }));
  const outputs = [{ name, dtype: 'float32' as const }];
  const graph = { name: 'planes', inputs, outputs, weights, nodes: build.nodes };
  const session = await onnxRuntime.load({ graph, weights: build.constants }, { threads: 1, purpose: 'training' });
  try {
    const value = (await session.run(feeds))[name];
    if (value === undefined) throw new Error('there is no result');
    return { value, ops: build.nodes.map(({ op }) => op) };
  } finally {
    await session.dispose();
  }
}

const channelOf = (i: number, [, channels = 1, ...spatial]: readonly number[]): number =>
  Math.floor(i / elementCount(spatial)) % channels;

/** The largest difference over the largest number, or over 1. */
function difference(found: Tensor, expected: readonly number[]): number {
  if (found.data.length !== expected.length) return Infinity;
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  return expected.reduce((most, value, i) => Math.max(most, Math.abs(value - Number(found.data[i]))), 0) / largest;
}

const shapes = constantFrom(
  [2, 3, 4, 4],
  [3, 5, 8, 8],
  [2, 4, 12, 12],
  [1, 2, 24, 24],
  [2, 3, 25, 25],
  [2, 6],
  [3, 4, 64],
  [2, 3, 4, 4, 8],
);

const patience = 60_000;

describe('by channel', () => {
  it(
    'the sum of a product is that of float64, in every form',
    async () => {
      const session = await sessionLowering();
      await assert(
        asyncProperty(shapes, integer({ min: 0, max: 1e6 }), async (shape, seed) => {
          const [a, b] = [values(shape, seed), values(shape, seed + 1)];
          const expected = Array<number>(shape[1] ?? 1).fill(0);
          for (const [i, value] of a.data.entries()) {
            const channel = channelOf(i, shape);
            expected[channel] = (expected[channel] ?? NaN) + value * (b.data[i] ?? NaN);
          }
          for (const lowering of [standardLowering, session]) {
            const found = await run({ a, b }, lowering, (build) => dotByChannel('a', 'b', build));
            expect(found && difference(found.value, expected)).toBeLessThan(1e-5);
          }
        }),
        { numRuns: 20 },
      );
    },
    patience,
  );

  it(
    'a line is that of float64 in lanes',
    async () => {
      const lowering = await sessionLowering();
      await assert(
        asyncProperty(shapes, integer({ min: 0, max: 1e6 }), async (shape, seed) => {
          const [u, v] = [values(shape, seed), values(shape, seed + 1)];
          const [a, b, c] = [2, 3, 4].map((more) => values([shape[1] ?? 1], seed + more));
          if (a === undefined || b === undefined || c === undefined) throw new Error('three vectors');
          const found = await run({ u, v, a, b, c }, lowering, (build) =>
            lineInLanes('u', () => ({ v: 'v', a: 'a', b: 'b', c: 'c' }), build),
          );
          if (found === undefined) return;
          const expected = Array.from(u.data, (value, i) => {
            const channel = channelOf(i, shape);
            return (
              (a.data[channel] ?? NaN) * value +
              (b.data[channel] ?? NaN) * (v.data[i] ?? NaN) +
              (c.data[channel] ?? NaN)
            );
          });
          expect(found.value.shape).toEqual(shape);
          expect(difference(found.value, expected)).toBeLessThan(1e-5);
        }),
        { numRuns: 20 },
      );
    },
    patience,
  );

  it('a line has no form in lanes where the session has none or planes do not fill them', async () => {
    const small = { u: values([2, 3, 5, 5], 1), v: values([2, 3, 5, 5], 2) };
    const line = (build: GraphBuilder): string | undefined =>
      lineInLanes('u', () => ({ v: 'v', a: 'a', b: 'b', c: 'c' }), build);
    expect(await run(small, { blockedChannels: 8 }, line)).toBeUndefined();
    const large = { u: values([2, 3, 16, 16], 1), v: values([2, 3, 16, 16], 2) };
    expect(await run(large, standardLowering, line)).toBeUndefined();
  });

  it('the sum of a product has a form in lanes only where the session has them', async () => {
    const feeds = { a: values([2, 3, 24, 24], 1), b: values([2, 3, 24, 24], 2) };
    const opsOf = async (lowering: Lowering): Promise<readonly string[]> =>
      (await run(feeds, lowering, (build) => dotByChannel('a', 'b', build)))?.ops ?? [];
    const lowering = await sessionLowering();
    expect(await opsOf(standardLowering)).toContain('Mul');
    if (lowering.blockedChannels !== undefined) expect(await opsOf(lowering)).toContain('Conv');
  });
});

describe('a value repeated along its last axes', () => {
  it.each([
    [
      [2, 3, 1, 1],
      [2, 3, 4, 5],
    ],
    [
      [2, 1],
      [2, 7],
    ],
    [
      [1, 1, 1],
      [3, 2, 4],
    ],
    [
      [1, 1],
      [1, 6],
    ],
    [
      [3, 1, 1],
      [3, 1, 5],
    ],
  ])('from %j to %j is what Expand gives', async (from, to) => {
    const feeds = { a: values(from, 3) };
    const found = await run(feeds, standardLowering, (build) => repeatedLast('a', to, build));
    const expected = await run(feeds, standardLowering, (build) => build.add('Expand', ['a', build.ints(to)]));
    expect(found?.ops).toContain('MatMul');
    expect(found?.value.shape).toEqual(to);
    expect(found?.value.data).toEqual(expected?.value.data);
  });

  it.each([
    [
      [2, 1, 4],
      [2, 3, 4],
    ],
    [
      [1, 3, 1],
      [2, 3, 4],
    ],
    [
      [2, 3],
      [2, 3],
    ],
    [
      [3, 1],
      [2, 3, 4],
    ],
  ])('has no such form from %j to %j', async (from, to) => {
    expect(
      await run({ a: values(from, 3) }, standardLowering, (build) => repeatedLast('a', to, build)),
    ).toBeUndefined();
  });
});
