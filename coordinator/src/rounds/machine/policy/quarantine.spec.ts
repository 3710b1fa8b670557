import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';

import { refusalReasons, type RefusalReason } from '../../rounds.js';
import type { Effect } from '../effect.js';
import type { RunEvent } from '../event.js';
import { newRun, step, wakeAtMs } from '../machine.js';
import { checkNorm, normLimit } from '../norm.js';
import { recordOf } from '../record.js';
import { checkpoint, planOf, updateOf } from '../scenario.contract.js';
import { isOpen, membersIn, type RunPlan, type RunState } from '../state.js';
import { isFault, isQuarantined, newer, type Quarantine } from './quarantine.js';

const limits = { maxExamples: 1000, maxNormRatio: 10, quarantine: { refusals: 3, rounds: 5, forMs: 1e9 } };
const faults = refusalReasons.filter(isFault);
const harmless = refusalReasons.filter((reason) => !isFault(reason));

/** A run whose effects are kept, fed with one event after another. */
function running(changes: Partial<RunPlan> = {}, connected: readonly string[] = ['bad', 'good', 'kind']) {
  const effects: Effect[] = [];
  const cohort = { min: 1, goal: 3, max: 3 };
  let state = newRun(planOf({ kind: 'probe', rounds: 100, cohort, limits, ...changes }), checkpoint(0), { atMs: 0 });
  const asked: [string, number][] = [];
  let message = '';
  const feed = (event: RunEvent): RunState => {
    const result = step(state, event);
    effects.push(...result.effects);
    message = result.verdict?.message ?? message;
    state = result.state;
    for (const effect of result.effects) {
      if (effect.kind === 'sendTrain') for (const id of effect.agentIds) asked.push([id, state.round]);
    }
    return state;
  };
  feed({ kind: 'started', connected, atMs: 0 });
  /** In how many rounds an agent was asked, however often each was tried. */
  const roundsAsked = (id: string): number => new Set(asked.filter(([of]) => of === id).map(([, round]) => round)).size;
  return { feed, effects, roundsAsked, state: () => state, message: () => message };
}

type Run = ReturnType<typeof running>;

/** Every member answers: a reason is a refusal of it. */
function playRound(run: Run, reasonOf: (agentId: string) => RefusalReason | undefined): RunState {
  const { round, attempt } = run.state();
  const atMs = run.state().atMs + 10;
  for (const agentId of membersIn(run.state(), 'selected')) {
    const reason = reasonOf(agentId);
    const update = updateOf(`${agentId}-${round}-${attempt}`);
    const refusal = reason && { refusal: { reason, message: reason } };
    run.feed({ kind: 'updateReceived', agentId, round, update, atMs, ...refusal });
  }
  return finishRound(run);
}

/** Whoever has not answered is silent; the sum is made, and the next round or try begins. */
function finishRound(run: Run): RunState {
  const { round, attempt } = run.state();
  if (run.state().phase === 'training') run.feed({ kind: 'timePassed', active: [], atMs: run.state().deadlineMs ?? 0 });
  const report = { updateCount: 1, exampleCount: 1, norm: 1 };
  const now = run.state().atMs;
  run.feed({ kind: 'aggregated', round, attempt, candidate: checkpoint(round), report, atMs: now });
  run.feed({ kind: 'advanced', round, attempt, atMs: now });
  const { status, phase, deadlineMs } = run.state();
  // What is missing is not coming: the round goes on with who is here, or is tried again.
  if (status === 'running' && phase !== 'training' && deadlineMs !== undefined)
    run.feed({ kind: 'timePassed', active: [], atMs: deadlineMs });
  return run.state();
}

/** As admission judges an update: by what the run knows at this moment. */
function answerByNorm(run: Run, agentId: string, norm: number): void {
  const state = run.state();
  const refusal = checkNorm(norm, normLimit(state));
  const update = { ...updateOf(`${agentId}-${state.round}-${state.attempt}`), norm };
  const { round, atMs } = state;
  run.feed({ kind: 'updateReceived', agentId, round, update, atMs, ...(refusal && { refusal }) });
}

const badly = (agentId: string): RefusalReason | undefined => (agentId === 'bad' ? 'not-finite' : undefined);
const stored = (quarantine: Quarantine): { quarantines: Record<string, Quarantine> } => ({
  quarantines: { task: quarantine },
});

describe('an agent that sends bad updates every round', () => {
  it('is asked no more after as many refusals as the task allows, and told so with what to do', () => {
    const run = running();
    for (let round = 1; round <= 8; round++) playRound(run, badly);
    expect(run.roundsAsked('bad')).toBe(3);
    expect([run.state().committedRounds, isQuarantined(run.state(), 'bad')]).toEqual([8, true]);
    const reason = 'its updates were refused in 3 of its last 3 rounds, the last time for not-finite';
    expect(run.effects).toContainEqual(
      expect.objectContaining({ kind: 'quarantine', agentId: 'bad', quarantine: expect.objectContaining({ reason }) }),
    );
    expect(run.effects).toContainEqual(expect.objectContaining({ kind: 'publish', event: 'agent.quarantined' }));
    expect(recordOf(run.state(), {}).quarantined).toEqual({ bad: reason });
  });

  it('is counted once in a round, however often the round is tried', () => {
    const run = running({ cohort: { min: 3, goal: 3, max: 3 }, attempts: 10 });
    for (let attempt = 1; attempt <= 6; attempt++) playRound(run, badly);
    expect([run.state().round, run.state().agents.bad?.conduct]).toEqual([1, { marks: 'x', round: 1 }]);
  });

  it('is kept out twice as long each time, up to 64 times, unless its operator let it back', () => {
    const run = running({ rounds: 1000, limits: { ...limits, quarantine: { refusals: 1, rounds: 1, forMs: 1000 } } });
    const spans: number[] = [];
    for (let times = 1; times <= 9; times++) {
      playRound(run, badly);
      const { sinceMs = 0, untilMs = 0 } = run.state().agents.bad?.quarantine ?? {};
      spans.push((untilMs - sinceMs) / 1000);
      if (times < 8) run.feed({ kind: 'timePassed', active: [], atMs: untilMs });
      else {
        const standing = run.state().agents.bad?.quarantine;
        const traits = standing && stored({ ...standing, releasedAtMs: sinceMs + 1 });
        run.feed({ kind: 'agentConnected', agentId: 'bad', ...(traits && { traits }), atMs: sinceMs + 1 });
      }
      if (!membersIn(run.state(), 'selected').includes('bad')) playRound(run, () => undefined);
    }
    expect(spans).toEqual([1, 2, 4, 8, 16, 32, 64, 64, 1]);
  });

  it('hears with its last refusal what to do', () => {
    const quarantine = { refusals: 1, rounds: 1, forMs: 1e9 };
    const run = running({ cohort: { min: 1, goal: 1, max: 1 }, limits: { ...limits, quarantine } }, ['bad']);
    const refusal = { reason: 'size' as const, message: 'too large' };
    run.feed({ kind: 'updateReceived', agentId: 'bad', round: 1, update: updateOf('1'), refusal, atMs: 10 });
    expect(run.message()).toMatch(
      /^too large; .*in quarantine for this task until .*Z; mend the cause; .*graft site release bad$/u,
    );
  });

  it('is asked at most as often as the task allows, whatever the reasons and whatever the others do', () => {
    const others = fc.constantFrom(undefined, ...harmless);
    const rounds = fc.array(fc.tuple(fc.constantFrom(...faults), others), { minLength: 12, maxLength: 20 });
    const rule = fc.integer({ min: 1, max: 5 }).map((refusals) => ({ refusals, rounds: 5, forMs: 1e9 }));
    fc.assert(
      fc.property(rounds, rule, (drawn, quarantine) => {
        const run = running({ attempts: 100, limits: { ...limits, quarantine } });
        for (const [fault, other] of drawn)
          playRound(run, (id) => (id === 'bad' ? fault : id === 'kind' ? other : undefined));
        expect(run.roundsAsked('bad')).toBeLessThanOrEqual(quarantine.refusals);
        expect(isQuarantined(run.state(), 'bad')).toBe(run.state().committedRounds > quarantine.refusals);
      }),
      { numRuns: 50 },
    );
  });
});

describe('an honest agent', () => {
  it('is never quarantined for being late, away, behind or unlucky', () => {
    const all = ['a', 'b', 'c'];
    const agentId = fc.constantFrom(...all);
    const event = fc.oneof(
      fc.record({ kind: fc.constant('agentLost' as const), agentId }),
      fc.record({ kind: fc.constant('agentConnected' as const), agentId }),
      fc.record({ kind: fc.constant('restarted' as const), connected: fc.subarray(all) }),
      fc.record({ kind: fc.constant('timePassed' as const), active: fc.subarray(all) }),
      fc.record({ kind: fc.constant('play' as const), reason: fc.constantFrom(undefined, ...harmless) }),
      fc.record({ kind: fc.constant('late' as const), agentId, back: fc.integer({ min: 0, max: 3 }) }),
    );
    const policy = fc.constantFrom<RunPlan['policy']>(
      { kind: 'synchronous' },
      { kind: 'bufferedAsynchronous', maxStaleness: 2 },
      { kind: 'semiSynchronous', maxStaleness: 1 },
    );
    fc.assert(
      fc.property(policy, fc.array(event, { maxLength: 60 }), (chosen, events) => {
        const run = running({ policy: chosen, attempts: 100 }, all);
        for (const next of events) {
          const state = run.state();
          const atMs = state.atMs + 100;
          if (!isOpen(state)) break;
          if (next.kind === 'play') playRound(run, (id) => (id === 'a' ? next.reason : undefined));
          else if (next.kind === 'late') {
            const round = state.round - next.back;
            run.feed({ kind: 'updateReceived', agentId: next.agentId, round, update: updateOf('late'), atMs });
          } else run.feed({ ...next, atMs });
        }
        const { agents } = run.state();
        expect(Object.values(agents).filter(({ conduct, quarantine }) => conduct ?? quarantine)).toEqual([]);
      }),
      { numRuns: 100 },
    );
  });

  it('is never quarantined while fewer than half of the least cohort attack, whatever norms they send and whoever is first', () => {
    const draw = fc.integer({ min: 3, max: 7 }).chain((min) =>
      fc.record({
        min: fc.constant(min),
        honest: fc.array(fc.double({ min: 1, max: 10, noNaN: true }), { minLength: min, maxLength: min }),
        hostile: fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { maxLength: Math.floor((min - 1) / 2) }),
        rounds: fc.array(fc.infiniteStream(fc.nat(1000)), { minLength: 6, maxLength: 6 }),
      }),
    );
    fc.assert(
      fc.property(draw, ({ min, honest, hostile, rounds }) => {
        const norms = new Map([
          ...honest.map((norm, index): [string, number] => [`honest-${index}`, norm]),
          ...hostile.map((norm, index): [string, number] => [`hostile-${index}`, norm]),
        ]);
        const all = [...norms.keys()].sort();
        const cohort = { min, goal: all.length, max: all.length };
        const quarantine = { refusals: 1, rounds: 1, forMs: 1e9 };
        const run = running({ cohort, limits: { ...limits, quarantine } }, all);
        for (const order of rounds) {
          const asked = membersIn(run.state(), 'selected').map((id): [number, string] => [order.next().value ?? 0, id]);
          for (const [, agentId] of asked.sort(([a], [b]) => a - b))
            answerByNorm(run, agentId, norms.get(agentId) ?? 0);
          finishRound(run);
        }
        const shut = Object.keys(run.state().agents).filter((id) => run.state().agents[id]?.quarantine !== undefined);
        expect(shut.filter((id) => id.startsWith('honest'))).toEqual([]);
        expect(run.state().committedRounds).toBe(rounds.length);
      }),
      { numRuns: 200 },
    );
  });

  it('is forgiven single faults once its last rounds are free of them', () => {
    const run = running();
    playRound(run, badly);
    expect(run.state().agents.bad?.conduct).toEqual({ marks: 'x', round: 1 });
    for (let round = 1; round <= 5; round++) playRound(run, () => undefined);
    expect(run.state().agents.bad).toEqual({ connected: true });
  });

  it('is left alone where the task turns quarantine off', () => {
    const run = running({ limits: { ...limits, quarantine: { refusals: 0, rounds: 5, forMs: 1e9 } } });
    for (let round = 1; round <= 8; round++) playRound(run, badly);
    expect(Object.keys(run.state().members)).toContain('bad');
  });
});

describe('the way back from quarantine', () => {
  const shut: Quarantine = { reason: 'norm', sinceMs: 5, untilMs: 60_000, times: 1 };
  const alone = { cohort: { min: 1, goal: 1, max: 1 } };

  it('is the operator’s word, and a new run keeps who has not got it', () => {
    const run = running(alone, []);
    run.feed({ kind: 'agentConnected', agentId: 'bad', traits: { name: 'lab', ...stored(shut) }, atMs: 10 });
    expect([run.state().status, run.state().reason]).toEqual([
      'waiting',
      'round 1 needs 1 agent; none is connected, besides 1 in quarantine: lab (until 1970-01-01T00:01:00Z: norm); ' +
        'it goes on when another one connects, or one in quarantine is let back: graft site release lab',
    ]);
    run.feed({ kind: 'agentConnected', agentId: 'bad', traits: stored({ ...shut, releasedAtMs: 20 }), atMs: 20 });
    expect(Object.keys(run.state().members)).toEqual(['bad']);
    // What was read of the store before and arrives after changes nothing.
    run.feed({ kind: 'agentConnected', agentId: 'bad', traits: stored(shut), atMs: 21 });
    expect(isQuarantined(run.state(), 'bad')).toBe(false);
  });

  it('is the end of its time, for which a waiting run sets its clock', () => {
    const run = running(alone, []);
    const traits = stored({ ...shut, untilMs: 500 });
    run.feed({ kind: 'restarted', connected: ['bad'], traits: { bad: traits }, atMs: 10 });
    expect([run.state().status, wakeAtMs(run.state())]).toEqual(['waiting', 500]);
    run.feed({ kind: 'timePassed', active: [], atMs: 500 });
    expect(Object.keys(run.state().members)).toEqual(['bad']);
  });

  it('does not depend on the order in which run and store hear of it', () => {
    const standing = fc.record(
      {
        reason: fc.constant('norm'),
        sinceMs: fc.nat(3),
        untilMs: fc.constant(9),
        times: fc.constant(1),
        releasedAtMs: fc.nat(3),
      },
      { requiredKeys: ['reason', 'sinceMs', 'untilMs', 'times'] },
    );
    fc.assert(fc.property(standing, standing, (a, b) => expect(newer(a, b)).toEqual(newer(b, a))));
  });
});
