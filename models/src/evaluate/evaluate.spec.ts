/** Golden numbers were computed with NumPy 2.4.6 in float64 (log_softmax as z - max - log sum exp). */
import * as fc from 'fast-check';

import { tensor, type Tensor } from '@graft/core/tensor';

import type { Graph, Node } from '../graph/graph.js';
import type { Session } from '../runtime/runtime.js';
import { measureLatency, summariseLatency } from './latency.js';
import { accuracyOf, klSumOf, meanLossOf, measureLogits, mergeMeasures, noMeasures } from './measures.js';
import { operatorsOf } from './structure.js';

const logits = (rows: readonly (readonly number[])[]): Tensor<'float32'> =>
  tensor('float32', [rows.length, rows[0]?.length ?? 1], Float32Array.from(rows.flat()));

const first = logits([
  [1, 2, 3],
  [0.5, -1, 0.25],
  [100, -100, 0],
]);
const second = logits([
  [1.5, 1.5, 3],
  [0, -1, 0.5],
  [90, -90, 10],
]);

describe('measures of logits', () => {
  it('are sums of correct answers and of cross-entropy', () => {
    const measures = measureLogits(first, [2, 2, 0]);
    expect(measures.examples).toBe(3);
    expect(measures.correct).toBe(2);
    expect(measures.lossSum).toBeCloseTo(1.3517181508462948, 12);
    expect(accuracyOf(measures)).toBeCloseTo(2 / 3, 12);
    expect(meanLossOf(measures)).toBeCloseTo(1.3517181508462948 / 3, 12);
  });

  it('do not overflow', () => {
    expect(measureLogits(logits([[3e38, -3e38]]), [1])).toMatchObject({ examples: 1, correct: 0 });
    expect(measureLogits(logits([[1000, 999]]), [0]).lossSum).toBeCloseTo(Math.log1p(Math.exp(-1)), 12);
  });

  it('count what is not finite as wrong, with infinite loss', () => {
    for (const row of [
      [NaN, 1],
      [Infinity, 1],
      [-Infinity, 1],
    ]) {
      expect(measureLogits(logits([row, [2, 1]]), [1, 0])).toEqual({ examples: 2, correct: 1, lossSum: Infinity });
    }
  });

  it('take the first of equal logits', () => {
    expect(measureLogits(logits([[1, 1]]), [0]).correct).toBe(1);
    expect(measureLogits(logits([[1, 1]]), [1]).correct).toBe(0);
  });

  it('of parts merge to those of the whole', () => {
    const rows = fc.array(
      fc.tuple(fc.float({ min: -50, max: 50, noNaN: true }), fc.float({ min: -50, max: 50, noNaN: true })),
      {
        minLength: 1,
        maxLength: 8,
      },
    );
    fc.assert(
      fc.property(rows, rows, (a, b) => {
        const zero = (all: readonly unknown[]): number[] => all.map((_, i) => i % 2);
        const whole = measureLogits(logits([...a, ...b]), [...zero(a), ...zero(b)]);
        const merged = mergeMeasures([measureLogits(logits(a), zero(a)), measureLogits(logits(b), zero(b))]);
        expect(merged).toMatchObject({ examples: whole.examples, correct: whole.correct });
        expect(merged.lossSum).toBeCloseTo(whole.lossSum, 8);
      }),
    );
    expect(mergeMeasures([])).toEqual(noMeasures);
  });

  it('refuse labels and shapes that do not fit', () => {
    const malformed = expect.objectContaining({ code: 'EVALUATION_MALFORMED' });
    expect(() => measureLogits(first, [0, 1])).toThrow(malformed);
    for (const label of [3, -1, 0.5, NaN]) expect(() => measureLogits(first, [0, 1, label])).toThrow(malformed);
    expect(() => measureLogits(tensor('float32', [4], new Float32Array(4)), [0])).toThrow(malformed);
    expect(() => measureLogits(tensor('int32', [1, 2], new Int32Array(2)), [0])).toThrow(malformed);
    expect(() => klSumOf(first, logits([[1, 2, 3]]))).toThrow(malformed);
  });
});

describe('the divergence of two models', () => {
  it('is KL in nats, summed over examples', () => {
    expect(klSumOf(first, second)).toBeCloseTo(0.10124520395641937, 12);
  });

  it('is zero for equal answers, whatever constant is added to them, and never negative', () => {
    const score = fc.float({ min: -80, max: 80, noNaN: true });
    fc.assert(
      fc.property(fc.array(score, { minLength: 2, maxLength: 6 }), score, (row, shift) => {
        expect(klSumOf(logits([row]), logits([row]))).toBe(0);
        const other = logits([row.map((value) => value + shift)]);
        expect(klSumOf(logits([row]), other)).toBeGreaterThanOrEqual(0);
        expect(klSumOf(logits([row]), other)).toBeLessThan(1e-4);
      }),
    );
  });

  it('is infinite where an answer is not finite', () => {
    expect(klSumOf(logits([[1, 2]]), logits([[1, NaN]]))).toBe(Infinity);
  });
});

describe('latency', () => {
  it('is given by values that were measured', () => {
    const samples = Array.from({ length: 100 }, (_, i) => 100 - i);
    expect(summariseLatency(samples)).toEqual({ p50Ms: 50, p95Ms: 95 });
    expect(summariseLatency([7])).toEqual({ p50Ms: 7, p95Ms: 7 });
    expect(() => summariseLatency([])).toThrow(RangeError);
  });

  it('does not count the first runs', async () => {
    let atMs = 0;
    let run = 0;
    const session: Session = {
      run: () => {
        atMs += run++ < 2 ? 1000 : run;
        return Promise.resolve({});
      },
      dispose: () => Promise.resolve(),
    };
    const latency = await measureLatency(session, {}, { nowMs: () => atMs, runs: 10, warmUp: 2 });
    expect(run).toBe(12);
    expect(latency).toEqual({ p50Ms: 7, p95Ms: 12 });
  });
});

describe('the structure report', () => {
  it('counts operators, those of subgraphs too, most frequent first', () => {
    const node = (op: string, domain = '', graph?: Graph): Node => ({
      name: op,
      op,
      domain,
      inputs: [],
      outputs: [],
      attributes: graph === undefined ? {} : { body: { kind: 'graph', value: graph } },
    });
    const graphOf = (...nodes: Node[]): Graph => ({ name: 'g', inputs: [], outputs: [], weights: [], nodes });
    const inner = graphOf(node('Relu'), node('Fancy', 'org.example'));
    expect(operatorsOf(graphOf(node('Conv'), node('Relu'), node('Loop', '', inner)))).toEqual([
      { operator: 'Relu', count: 2 },
      { operator: 'Conv', count: 1 },
      { operator: 'Loop', count: 1 },
      { operator: 'org.example.Fancy', count: 1 },
    ]);
    expect(operatorsOf(graphOf())).toEqual([]);
  });
});
