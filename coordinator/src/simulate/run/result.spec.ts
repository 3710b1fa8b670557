import * as fc from 'fast-check';

import { fairnessOf, resultOf, type RoundLine } from './result.js';

const line = (round: number, accuracy: number): RoundLine => ({
  round,
  atMs: round * 1000,
  accuracy,
  asked: 13,
  accepted: 10,
  refused: 0,
  dropped: 3,
  abandoned: 0,
  bytesUp: 100,
  bytesDown: 50,
});

const told = { policy: 'synchronous', status: 'completed', reason: '', virtualMs: 9000, wallMs: 1 } as const;

describe('the result of a simulation', () => {
  it('says when a committed round was as accurate for the first time, and null for what never came', () => {
    const result = resultOf([line(1, 0.7), line(2, 0.85), line(3, 0.79), line(4, 0.91)], {
      ...told,
      timesAsked: [2, 0],
    });
    expect(result.timeToAccuracyMs).toEqual({ '0.8': 2000, '0.9': 4000, '0.95': null });
    expect(result).toMatchObject({ rounds: 4, accuracy: 0.91, updates: 40, bytesUp: 400, bytesDown: 200, asked: 2 });
  });
});

describe('fairness', () => {
  it('is one where all were asked alike, and 1/n where one was', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 20 }), (agents, times) => {
        expect(fairnessOf(Array.from({ length: agents }, () => times)).jain).toBeCloseTo(1, 9);
        const one = Array.from({ length: agents }, (_, agent) => (agent === 0 ? times : 0));
        expect(fairnessOf(one)).toEqual({ everAsked: 1 / agents, most: times, jain: expect.closeTo(1 / agents, 9) });
      }),
    );
  });
});
