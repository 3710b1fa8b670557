import * as fc from 'fast-check';

import { tensor } from '@graft/core/tensor';

import type { Session } from '../runtime/runtime.js';
import { collectRanges } from './collect-ranges.js';
import { checkRanges, mergeRanges, type Range, type Ranges } from './ranges.js';
import { network, scalar } from './small-network.contract.js';
import { rangeOutputs, withRanges } from './with-ranges.js';
import { onnxRuntime } from '../runtime/onnxruntime.adapter.js';

const range = (min: number, max: number): Range => ({ min, max });

describe('checking ranges', () => {
  it.each([
    ['not a number', [['a', range(NaN, 1)]], "'a' as [NaN, 1], which is not finite"],
    ['infinite', [['a', range(0, Infinity)]], 'which is not finite'],
    ['upside down', [['a', range(2, 1)]], 'whose min is above its max'],
    ['missing', [], "has no range of 'a'"],
    [
      'twice',
      [
        ['a', range(0, 1)],
        ['a', range(0, 1)],
      ],
      "gives two ranges of 'a'",
    ],
    ['of another tensor', [['b', range(0, 1)]], "range of 'b', which was not asked for"],
  ] as const)('refuses one that is %s', (_, ranges, message) => {
    const check = (): unknown => checkRanges(ranges as readonly (readonly [string, Range])[], ['a'], 'agent 7');
    expect(check).toThrow(
      expect.objectContaining({ code: 'RANGES_INVALID', message: expect.stringContaining(message) }),
    );
    expect(check).toThrow('agent 7');
  });

  it('refuses a flood at the first name that was not asked for', () => {
    let read = 0;
    function* flood(): Generator<readonly [string, Range]> {
      for (; read < 1e9; read++) yield [`tensor ${read}`, range(0, 1)];
    }
    expect(() => checkRanges(flood(), ['a'])).toThrow('which was not asked for');
    expect(read).toBe(0);
  });
});

describe('merging ranges', () => {
  const of = (min: number, max: number): Ranges => new Map([['a', range(min, max)]]);

  it('takes the median of the minima and of the maxima', () => {
    expect(mergeRanges([of(-1, 5), of(-3, 6), of(-2, 4)]).get('a')).toEqual(range(-2, 5));
    expect(mergeRanges([of(-1, 5)]).get('a')).toEqual(range(-1, 5));
  });

  it('takes the wider of two', () => {
    expect(mergeRanges([of(-1, 5), of(-3, 4)]).get('a')).toEqual(range(-3, 5));
  });

  it('stays within the ranges of the honest while they are more than half', () => {
    const bound = fc.double({ min: -1e6, max: 1e6, noNaN: true });
    const anyRange = fc.tuple(bound, bound).map(([a, b]) => range(Math.min(a, b), Math.max(a, b)));
    fc.assert(
      fc.property(fc.array(anyRange, { minLength: 3, maxLength: 9 }), fc.nat(), (honest, seed) => {
        const hostile = Array.from({ length: seed % (honest.length - 1) }, () => range(-3e38, 3e38));
        const merged = mergeRanges([...honest, ...hostile].map((one) => new Map([['a', one]]))).get('a');
        expect(merged?.min).toBeGreaterThanOrEqual(Math.min(...honest.map(({ min }) => min)));
        expect(merged?.max).toBeLessThanOrEqual(Math.max(...honest.map(({ max }) => max)));
      }),
    );
  });

  it('needs an agent, and the same tensors of each', () => {
    expect(() => mergeRanges([])).toThrow('no agent has given ranges');
    expect(() => mergeRanges([of(0, 1), new Map()])).toThrow("no range of 'a'");
  });
});

describe('collecting ranges', () => {
  const model = network({ input: ['n', 2], layers: [['Mul', 'x s', 'y']], weights: { s: scalar(-2) } });

  it('keeps the extremes of nine in ten examples, computed in the runtime', async () => {
    const session = await onnxRuntime.load(withRanges(model, ['x', 'y']), { threads: 1, purpose: 'inference' });
    const rows = Array.from({ length: 10 }, (_, i) => [i + 1, -(i + 1) / 10]);
    rows.push([1000, -1000]);
    const batches = [rows.slice(0, 3), rows.slice(3)].map((part) => ({
      x: tensor('float32', [part.length, 2], Float32Array.from(part.flat())),
    }));
    const ranges = await collectRanges(session, ['x', 'y'], batches);
    await session.dispose();
    expect(ranges).toEqual(
      new Map([
        ['x', range(-1, 10)],
        ['y', range(-20, 2)],
      ]),
    );
  });

  const fake = (valueOf: (call: number) => number): Session & { readonly calls: () => number } => {
    let calls = 0;
    return {
      calls: () => calls,
      run: () => {
        const value = tensor('float32', [300], new Float32Array(300).fill(valueOf(calls++)));
        return Promise.resolve({ [rangeOutputs('y').min]: value, [rangeOutputs('y').max]: value });
      },
      dispose: () => Promise.resolve(),
    };
  };

  it('refuses activations that are not finite, whatever the other batches are', async () => {
    for (const wrong of [NaN, Infinity, -Infinity]) {
      const session = fake((call) => (call === 1 ? wrong : 1));
      await expect(collectRanges(session, ['y'], [{}, {}, {}])).rejects.toMatchObject({ code: 'RANGES_INVALID' });
    }
  });

  it('stops once it has seen enough examples', async () => {
    const session = fake((call) => call);
    function* endless(): Generator<Record<string, never>> {
      for (;;) yield {};
    }
    await collectRanges(session, ['y'], endless());
    expect(session.calls()).toBe(4);
  });

  it('needs an example', async () => {
    const session = await onnxRuntime.load(withRanges(model, ['y']), { threads: 1, purpose: 'inference' });
    await expect(collectRanges(session, ['y'], [])).rejects.toMatchObject({ code: 'RANGES_INVALID' });
    await session.dispose();
  });

  it('names a tensor that the model does not have', () => {
    expect(() => withRanges(model, ['nowhere'])).toThrow(expect.objectContaining({ code: 'TENSOR_UNKNOWN' }));
  });

  it('refuses integers', () => {
    const integers = { ...model, graph: { ...model.graph, inputs: [{ name: 'x', dtype: 'int32' as const }] } };
    expect(() => withRanges(integers, ['x'])).toThrow(expect.objectContaining({ code: 'MODEL_UNSUPPORTED' }));
  });
});
