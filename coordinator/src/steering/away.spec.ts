/** Who may leave, and for how long. */
import type { RunEvent } from '../rounds/machine/event.js';
import { newRun, step } from '../rounds/machine/machine.js';
import { checkpoint, planOf } from '../rounds/machine/scenario.contract.js';
import type { RunPlan } from '../rounds/machine/state.js';
import { awayMs, leastAwayMs, type PacedRun } from './away.js';

const longestAwayMs = 600_000;
const idle = (agentId: string, population = 3) => ({ agentId, population, longestAwayMs, atMs: 10_000 });

/** A run of two agents, started at 0, whose rounds take a minute. */
function running(changes: Partial<RunPlan> = {}, connected: readonly string[] = ['a', 'b']): PacedRun {
  const plan = planOf({ kind: 'probe', rounds: 2, cohort: { min: 2, goal: 2, max: 2 }, ...changes });
  const started: RunEvent = { kind: 'started', connected, atMs: 0 };
  return { machine: step(newRun(plan, checkpoint(0), { atMs: 0 }), started).state, roundMs: 60_000 };
}

test('without a run an agent leaves for half of the longest time to all of it, each for its own', () => {
  const times = ['a', 'b', 'c', 'd'].map((id) => awayMs([], idle(id)));
  for (const ms of times) {
    expect(ms).toBeGreaterThanOrEqual(longestAwayMs / 2);
    expect(ms).toBeLessThanOrEqual(longestAwayMs);
  }
  expect(new Set(times).size).toBe(times.length);
});

test('who is of the round in hand stays, and so does everybody while a round gathers its agents', () => {
  expect(running().machine.phase).toBe('training');
  expect(awayMs([running()], idle('a'))).toBe(0);
  expect(running({}, ['a']).machine.phase).toBe('selecting');
  expect(awayMs([running({}, ['a'])], idle('c'))).toBe(0);
});

test('a small population is gathered as the next round begins', () => {
  const away = awayMs([running()], idle('c'));
  expect(away).toBeGreaterThanOrEqual(50_000);
  expect(away).toBeLessThanOrEqual(56_000);
});

test('a large population is spread, so that twice as many as a round asks come by in its time', () => {
  const population = 100;
  const ids = Array.from({ length: population }, (_, index) => `agent-${index}`);
  const mean =
    ids.reduce((sum, id) => sum + awayMs([running()], { ...idle(id, population), longestAwayMs: 1e8 }), 0) / population;
  // 100 agents, 4 in a minute.
  expect(mean).toBeGreaterThan(0.85 * 25 * 60_000);
  expect(mean).toBeLessThan(1.15 * 25 * 60_000);
});

test('nobody waits for the next round of a last round, nor for a task that the agent may not take part in', () => {
  expect(awayMs([running({ rounds: 1 })], idle('c'))).toBeGreaterThanOrEqual(longestAwayMs / 2);
  const selection: RunPlan['selection'] = { tags: ['icu'], order: { kind: 'random' } };
  expect(awayMs([running({ selection }, [])], idle('c'))).toBeGreaterThanOrEqual(longestAwayMs / 2);
});

test('an agent that is wanted within a moment stays', () => {
  const { machine } = running();
  expect(awayMs([{ machine, roundMs: 10_000 + leastAwayMs / 2 }], idle('c'))).toBe(0);
});
