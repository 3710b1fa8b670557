import { assert, integer, property, record } from 'fast-check';

import { plannedRuns, stepsOf } from './batch-plan.js';

const plans = record({
  count: integer({ min: 1, max: 60 }),
  epochs: integer({ min: 1, max: 4 }),
  batchSize: integer({ min: 1, max: 70 }),
  microBatchSize: integer({ min: 1, max: 70 }),
  leastRows: integer({ min: 1, max: 2 }),
  seed: integer({ min: 0 }),
});

describe('the order of the examples', () => {
  it('has every example once an epoch, and as many steps as were promised', () => {
    assert(
      property(plans, (plan) => {
        const runs = [...plannedRuns(plan, 0)];
        expect(runs.filter(({ isLast }) => isLast)).toHaveLength(stepsOf(plan));
        for (let epoch = 0; epoch < plan.epochs; epoch++) {
          const rows = runs.filter((run) => run.epoch === epoch).flatMap((run) => run.rows);
          expect(rows.sort((a, b) => a - b)).toEqual([...Array(plan.count).keys()]);
        }
        expect(runs.filter(({ endsEpoch }) => endsEpoch)).toHaveLength(plan.epochs);
      }),
    );
  });

  it('goes on from any step as it would have gone on', () => {
    assert(
      property(plans, integer({ min: 0, max: 300 }), (plan, first) => {
        const steps = [...plannedRuns(plan, 0)];
        const ends = steps.flatMap(({ isLast }, i) => (isLast ? [i + 1] : []));
        expect([...plannedRuns(plan, first)]).toEqual(steps.slice(first === 0 ? 0 : (ends[first - 1] ?? steps.length)));
      }),
    );
  });

  it('splits a step into runs of at most the size of a micro-batch, whose shares are one', () => {
    assert(
      property(plans, (plan) => {
        let share = 0;
        for (const run of plannedRuns(plan, 0)) {
          expect(run.rows.length).toBeGreaterThan(0);
          expect(run.rows.length).toBeLessThanOrEqual(Math.max(plan.microBatchSize, 2 * plan.leastRows - 1));
          share += run.share;
          if (!run.isLast) continue;
          expect(share).toBeCloseTo(1, 12);
          share = 0;
        }
      }),
    );
  });

  it('leaves no step with fewer rows than a step needs, where there are as many', () => {
    const plan = { count: 9, epochs: 1, batchSize: 4, microBatchSize: 8, leastRows: 2, seed: 1 };
    expect([...plannedRuns(plan, 0)].map(({ rows }) => rows.length)).toEqual([4, 5]);
  });

  it('cuts no step into runs of fewer rows than a run needs', () => {
    assert(
      property(plans, (plan) => {
        for (const { rows, stepRows } of plannedRuns(plan, 0)) {
          expect(rows.length).toBeGreaterThanOrEqual(Math.min(plan.leastRows, stepRows));
        }
      }),
    );
  });
});
