import { describe, expect, it } from '@jest/globals';

import { refusalReasons } from '../../rounds.js';
import type { Effect, Step } from '../effect.js';
import type { RunEvent } from '../event.js';
import { newRun, step, wakeAtMs } from '../machine.js';
import { recordOf } from '../record.js';
import { checkpoint, planOf, updateOf } from '../scenario.contract.js';
import { membersIn, type RunPlan, type RunState } from '../state.js';
import { baseHashOf } from './carry.js';
import { updateWeight } from './staleness.js';

const buffered: RunPlan['policy'] = { kind: 'bufferedAsynchronous', maxStaleness: 2 };

/** A run of a probe, told what happens; effects of the last event are kept. */
function runOf(changes: Partial<RunPlan>, connected: readonly string[]) {
  const plan = planOf({ kind: 'probe', rounds: 9, policy: buffered, cohort: { min: 1, goal: 2, max: 3 }, ...changes });
  let last: Step = step(newRun(plan, checkpoint(0), { atMs: 0 }), { kind: 'started', connected, atMs: 0 });
  const at = (): number => last.state.atMs;
  const feed = (event: RunEvent): Step => {
    last = step(last.state, event);
    return last;
  };
  return {
    feed,
    state: (): RunState => last.state,
    effects: <K extends Effect['kind']>(kind: K) =>
      last.effects.filter((effect): effect is Extract<Effect, { kind: K }> => effect.kind === kind),
    report: (agentId: string, round: number, atMs = at()): Step =>
      feed({ kind: 'updateReceived', agentId, round, update: updateOf(`${agentId}-${round}`), atMs }),
    /** The fold in hand succeeds, and the next round begins. */
    commit: (): Step => {
      const { round, attempt } = last.state;
      const report = { updateCount: 1, exampleCount: 1, norm: 1 };
      feed({ kind: 'aggregated', round, attempt, candidate: checkpoint(round), report, atMs: at() });
      return feed({ kind: 'advanced', round, attempt, atMs: at() });
    },
  };
}

describe('buffered asynchronous rounds', () => {
  it('commit for every goal of updates and cancel nobody who still trains', () => {
    const run = runOf({}, ['a', 'b', 'slow']);
    run.report('a', 1);
    const { state, effects } = run.report('b', 1);
    expect(state.phase).toBe('aggregating');
    expect(effects.filter(({ kind }) => kind === 'cancel')).toEqual([]);
    expect(state.carried).toMatchObject({ slow: { state: 'selected', round: 1 } });
    expect(recordOf(state, {})).toMatchObject({ updates: { stragglers: 0 }, carried: ['slow'] });
    run.commit();
    expect(run.state()).toMatchObject({ round: 2, phase: 'training' });
    expect(run.effects('sendTrain')).toMatchObject([{ agentIds: ['a', 'b'] }]);
  });

  it('take the update of an earlier base, once, and weigh it by its staleness', () => {
    const run = runOf({}, ['a', 'b', 'slow']);
    for (const id of ['a', 'b']) run.report(id, 1);
    run.commit();
    for (const id of ['a', 'b']) run.report(id, 2);
    run.commit();
    const { state, verdict } = run.report('slow', 1);
    expect(verdict).toMatchObject({ accepted: true });
    expect(state.round).toBe(3);
    expect(updateWeight(state, 'slow')).toBeCloseTo(1 / Math.sqrt(3), 12);
    expect(baseHashOf(state, 1)).toBe(checkpoint(0).fp16.hash);
    run.report('a', 3);
    expect(run.effects('aggregate')).toMatchObject([{ round: 3, agentIds: ['a', 'slow'] }]);
    expect(recordOf(run.state(), {}).agents.slow).toMatchObject({
      state: 'accepted',
      staleness: 2,
      weight: 1 / Math.sqrt(3),
    });
    // Told again in the same round it is the same update; another one of that base is a second one.
    expect(run.report('slow', 1).verdict).toMatchObject({ accepted: true });
    const other = { kind: 'updateReceived', agentId: 'slow', round: 1, update: updateOf('other'), atMs: 0 } as const;
    expect(run.feed(other).verdict).toMatchObject({ accepted: false });
    run.commit();
    expect(run.feed(other).verdict).toMatchObject({ accepted: false, reason: 'late' });
  });

  it('give an agent whose update was of an earlier base a plan against the newest one at once', () => {
    const run = runOf({}, ['a', 'b', 'slow']);
    for (const id of ['a', 'b']) run.report(id, 1);
    run.commit();
    run.report('slow', 1);
    expect(run.effects('sendTrain')).toMatchObject([{ agentIds: ['slow'] }]);
    expect(run.state().members.slow).toMatchObject({ state: 'accepted', round: 1 });
    expect(run.state().carried.slow).toMatchObject({ state: 'selected', round: 2 });
    // Its next update comes while the first one is in the buffer: it waits for the next round.
    expect(run.report('slow', 2).verdict).toMatchObject({ accepted: true });
    expect(membersIn(run.state(), 'accepted')).toEqual(['slow']);
    run.report('a', 2);
    expect(run.effects('aggregate')).toMatchObject([{ agentIds: ['a', 'slow'] }]);
    run.commit();
    expect(run.state()).toMatchObject({ round: 3, members: { slow: { state: 'accepted', round: 2 } } });
  });

  it('take updates that come while a fold is in hand, for the next round', () => {
    const run = runOf({}, ['a', 'b', 'slow']);
    for (const id of ['a', 'b']) run.report(id, 1);
    expect(run.state().phase).toBe('aggregating');
    const { verdict, effects } = run.report('slow', 1);
    expect(verdict).toMatchObject({ accepted: true });
    expect(effects).toContainEqual({ kind: 'settle', agentIds: ['slow'], work: 'train' });
    run.commit();
    expect(membersIn(run.state(), 'accepted')).toEqual(['slow']);
    expect(run.effects('sendTrain')).toMatchObject([{ agentIds: ['a', 'b', 'slow'] }]);
  });

  it('tell an agent to stop, with the round of its plan, once its work is too stale', () => {
    const run = runOf({}, ['a', 'b', 'slow']);
    for (const round of [1, 2, 3]) {
      for (const id of ['a', 'b']) run.report(id, round);
      run.commit();
    }
    expect(run.state().round).toBe(4);
    expect(run.effects('cancel')).toMatchObject([{ agentIds: ['slow'], round: 1 }]);
    expect(run.effects('sendTrain')).toMatchObject([{ agentIds: ['a', 'b', 'slow'] }]);
    expect(run.report('slow', 1).verdict).toMatchObject({ accepted: false, reason: 'late' });
    expect(run.state().earlierBases).toEqual({});
  });

  it('keep as many agents at work as the task allows, whoever connects, fails or reports', () => {
    const run = runOf({ cohort: { min: 1, goal: 3, max: 2 + 1 } }, ['a', 'b']);
    run.feed({ kind: 'timePassed', active: [], atMs: 1000 });
    expect(run.effects('sendTrain')).toMatchObject([{ agentIds: ['a', 'b'] }]);
    run.feed({ kind: 'agentConnected', agentId: 'c', atMs: 1010 });
    expect(run.effects('sendTrain')).toMatchObject([{ agentIds: ['c'] }]);
    run.feed({ kind: 'agentConnected', agentId: 'd', atMs: 1020 });
    expect(run.effects('sendTrain')).toEqual([]);
    run.feed({ kind: 'failureReported', agentId: 'a', round: 1, code: 'X', message: '', atMs: 1030 });
    expect(run.effects('sendTrain')).toMatchObject([{ agentIds: ['d'] }]);
  });

  it('keep what was accepted when a try is abandoned, and fold it in the next', () => {
    const run = runOf({ cohort: { min: 2, goal: 2, max: 2 } }, ['a', 'b']);
    run.report('a', 1);
    run.feed({ kind: 'failureReported', agentId: 'b', round: 1, code: 'X', message: '', atMs: 20 });
    expect(run.state().phase).toBe('abandoned');
    expect(run.state().carried).toMatchObject({ a: { state: 'accepted', round: 1 } });
    run.feed({ kind: 'timePassed', active: [], atMs: 520 });
    expect(run.state()).toMatchObject({ phase: 'training', attempt: 2, members: { a: { state: 'accepted' } } });
    run.report('b', 1);
    expect(run.effects('aggregate')).toMatchObject([{ agentIds: ['a', 'b'] }]);
  });

  it('do not fold again what could not be folded', () => {
    const run = runOf({ cohort: { min: 2, goal: 2, max: 2 } }, ['a', 'b']);
    for (const id of ['a', 'b']) run.report(id, 1);
    run.feed({ kind: 'workFailed', work: 'aggregate', round: 1, attempt: 1, message: 'too large', atMs: 10 });
    expect(run.state()).toMatchObject({ phase: 'abandoned', carried: {} });
  });

  it('end with the last commit, and tell those at work', () => {
    const run = runOf({ rounds: 1 }, ['a', 'b', 'slow']);
    for (const id of ['a', 'b']) run.report(id, 1);
    run.commit();
    expect(run.state().status).toBe('completed');
    expect(run.effects('cancel')).toMatchObject([{ agentIds: ['slow'] }]);
  });

  it('stop whoever is at work when the run is stopped, each with the round of its plan', () => {
    const run = runOf({}, ['a', 'b', 'slow']);
    for (const id of ['a', 'b']) run.report(id, 1);
    run.commit();
    run.feed({ kind: 'stopRequested', reason: 'enough', atMs: 10 });
    expect(run.effects('cancel')).toMatchObject([{ agentIds: ['slow'], round: 1 }, { agentIds: ['a', 'b'] }]);
  });

  it.each(refusalReasons.filter((reason) => reason !== 'incomplete'))(
    'refuse work outside the cohort with %s, count it, and ask its agent again in the next round',
    (reason) => {
      const run = runOf({}, ['a', 'b', 'slow']);
      for (const id of ['a', 'b']) run.report(id, 1);
      const refusal = { reason, message: reason };
      const update = updateOf('x');
      const bad = { kind: 'updateReceived', agentId: 'slow', round: 1, update, refusal, atMs: 5 } as const;
      expect(run.feed(bad).verdict).toMatchObject({ accepted: false, reason });
      expect(run.feed(bad).verdict).toMatchObject({ accepted: false, reason });
      expect(run.state().refusals.slow).toEqual({ [reason]: 1 });
      run.commit();
      expect(run.effects('sendTrain')).toMatchObject([{ agentIds: ['a', 'b', 'slow'] }]);
    },
  );
});

describe('semi-synchronous rounds', () => {
  const policy: RunPlan['policy'] = { kind: 'semiSynchronous', maxStaleness: 1 };

  it('last as long as their window, whatever goal is reached, and take who is late into the next one', () => {
    const run = runOf({ policy, cohort: { min: 1, goal: 1, max: 3 } }, ['a', 'b', 'slow']);
    run.report('a', 1, 100);
    run.report('b', 1, 200);
    expect([run.state().phase, wakeAtMs(run.state())]).toEqual(['training', 1000]);
    run.feed({ kind: 'timePassed', active: [], atMs: 1000 });
    expect(run.effects('aggregate')).toMatchObject([{ agentIds: ['a', 'b'] }]);
    run.commit();
    expect(run.effects('sendTrain')).toMatchObject([{ agentIds: ['a', 'b'] }]);
    run.report('slow', 1, 1300);
    expect(run.effects('sendTrain')).toEqual([]);
    expect(updateWeight(run.state(), 'slow')).toBeCloseTo(Math.SQRT1_2, 12);
    run.feed({ kind: 'timePassed', active: [], atMs: 2000 });
    expect(run.effects('aggregate')).toMatchObject([{ round: 2, agentIds: ['slow'] }]);
  });

  it('close early only once nobody is left to wait for', () => {
    const run = runOf({ policy, cohort: { min: 1, goal: 1, max: 2 } }, ['a', 'b']);
    run.report('a', 1, 100);
    expect(run.state().phase).toBe('training');
    run.report('b', 1, 200);
    expect(run.state().phase).toBe('aggregating');
  });
});
