import { step, newRun, wakeAtMs } from './machine.js';
import type { RunEvent } from './event.js';
import { checkpoint, measures, planOf, updateOf } from './scenario.contract.js';
import type { RunPlan, RunState } from './state.js';
import { transitions, unreachablePhases } from './transitions.js';

type Untimed = RunEvent extends infer E ? (E extends RunEvent ? Omit<E, 'atMs'> : never) : never;

type Timed = readonly [atMs: number, event: Untimed];

const stateAfter = (plan: Partial<RunPlan>, script: readonly Timed[]): RunState =>
  script.reduce(
    (state, [atMs, event]) => step(state, { ...event, atMs }).state,
    newRun(planOf(plan), checkpoint(0), { atMs: 0 }),
  );

/** Plays events and writes one line each: time, event -> status and phase | effects | verdict. */
function play(plan: Partial<RunPlan>, script: readonly Timed[]): string[] {
  let state: RunState = newRun(planOf(plan), checkpoint(0), { atMs: 0 });
  return script.map(([atMs, event]) => {
    const result = step(state, { ...event, atMs });
    state = result.state;
    const effects = result.effects
      .filter(({ kind }) => kind !== 'publish')
      .map((effect) => ('agentIds' in effect ? `${effect.kind}(${effect.agentIds.join(' ')})` : effect.kind));
    const verdict = result.verdict && (result.verdict.accepted ? 'accepted' : result.verdict.reason);
    const subject = 'agentId' in event ? ` ${event.agentId}` : '';
    const place = `${state.status} ${state.phase} ${state.round}.${state.attempt}`;
    return [`${atMs} ${event.kind}${subject} -> ${place}`, effects.join(', '), verdict ?? '']
      .filter((part) => part !== '')
      .join(' | ');
  });
}

const started = (...connected: string[]): Untimed => ({ kind: 'started', connected });
const update = (agentId: string, round = 1, reason?: 'norm' | 'not-finite' | 'incomplete'): Untimed => ({
  kind: 'updateReceived',
  agentId,
  round,
  update: updateOf(`${agentId}-${round}`),
  ...(reason && { refusal: { reason, message: `${reason} is wrong` } }),
});
const aggregated = (round: number, attempt = 1): Untimed => ({
  kind: 'aggregated',
  round,
  attempt,
  candidate: checkpoint(round),
  report: { updateCount: 2, exampleCount: 20, norm: 1 },
});
const failure = (agentId: string, round = 1): Untimed => ({
  kind: 'failureReported',
  agentId,
  round,
  code: 'DATA_NOT_FOUND',
  message: 'no data',
});
const time: Untimed = { kind: 'timePassed', active: [] };

describe('a run', () => {
  it('goes through every phase, round by round, to its end', () => {
    const quantized: Untimed = { kind: 'quantized', round: 1, attempt: 1, result: { none: 'x' } };
    expect(
      play({ rounds: 1, holdOut: true }, [
        [0, started('a', 'b')],
        [10, { kind: 'progressed', agentId: 'a', round: 1 }],
        [20, update('b')],
        [30, update('a')],
        [40, aggregated(1)],
        [50, quantized],
        [60, { kind: 'evaluationReported', agentId: 'a', round: 1, measures: measures(9, 10) }],
        [70, { kind: 'evaluatedCentrally', round: 1, attempt: 1, result: measures(90, 100) }],
        [80, { kind: 'evaluationReported', agentId: 'b', round: 1, measures: measures(8, 10) }],
        [90, { kind: 'advanced', round: 1, attempt: 1 }],
        [99, update('a')],
      ]),
    ).toEqual([
      '0 started -> running training 1.1 | sendTrain(a b)',
      '10 progressed a -> running training 1.1',
      '20 updateReceived b -> running training 1.1 | settle(b) | accepted',
      '30 updateReceived a -> running aggregating 1.1 | settle(a), aggregate(a b) | accepted',
      '40 aggregated -> running quantizing 1.1 | quantize(a b)',
      '50 quantized -> running evaluating 1.1 | sendEvaluate(a b), evaluateCentral',
      '60 evaluationReported a -> running evaluating 1.1 | settle(a) | accepted',
      '70 evaluatedCentrally -> running evaluating 1.1',
      '80 evaluationReported b -> running committed 1.1 | settle(b), commit, advance | accepted',
      '90 advanced -> completed committed 1.1',
      '99 updateReceived a -> completed committed 1.1 | late',
    ]);
  });

  it('waits with a reason while too few agents are connected', () => {
    const plan = planOf({ cohort: { min: 2, goal: 3, max: 3 } });
    const first = step(newRun(plan, checkpoint(0), { atMs: 0 }), { kind: 'started', connected: ['a'], atMs: 0 }).state;
    expect([first.status, first.reason]).toEqual([
      'waiting',
      'round 1 needs 2 agents; 1 is connected: a; it goes on when another one connects',
    ]);
    expect(wakeAtMs(first)).toBeUndefined();
    const second = step(first, { kind: 'agentConnected', agentId: 'b', atMs: 5 }).state;
    expect([second.status, second.phase, wakeAtMs(second)]).toEqual(['running', 'selecting', 5 + plan.gatherMs]);
  });

  it('takes the goal at once, and the minimum after a moment of patience', () => {
    expect(
      play({ kind: 'probe', cohort: { min: 2, goal: 3, max: 3 } }, [
        [0, started('a')],
        [5, { kind: 'agentConnected', agentId: 'b' }],
        [50, { kind: 'agentLost', agentId: 'b' }],
        [60, { kind: 'agentConnected', agentId: 'c' }],
        [1060, time],
      ]),
    ).toEqual([
      '0 started -> waiting selecting 1.1',
      '5 agentConnected b -> running selecting 1.1',
      '50 agentLost b -> waiting selecting 1.1',
      '60 agentConnected c -> running selecting 1.1',
      '1060 timePassed -> running training 1.1 | sendTrain(a c)',
    ]);
  });

  it('closes at the goal and cancels the rest', () => {
    expect(
      play({ kind: 'probe', cohort: { min: 1, goal: 2, max: 3 } }, [
        [0, started('a', 'b', 'c')],
        [10, update('c')],
        [20, update('a')],
        [30, update('b')],
        [40, aggregated(1)],
      ]).slice(2),
    ).toEqual([
      '20 updateReceived a -> running aggregating 1.1 | settle(a), cancel(b), aggregate(a c) | accepted',
      '30 updateReceived b -> running aggregating 1.1 | late',
      '40 aggregated -> running committed 1.1 | commit, advance',
    ]);
  });

  it('keeps training open for its least time although the goal is reached', () => {
    expect(
      play({ kind: 'probe', cohort: { min: 1, goal: 1, max: 2 }, window: { minMs: 100, maxMs: 1000 } }, [
        [0, started('a', 'b')],
        [10, update('a')],
        [99, time],
        [100, time],
      ]).slice(1),
    ).toEqual([
      '10 updateReceived a -> running training 1.1 | settle(a) | accepted',
      '99 timePassed -> running training 1.1',
      '100 timePassed -> running aggregating 1.1 | cancel(b), aggregate(a)',
    ]);
  });

  it('closes at the deadline with the minimum, and abandons the try below it', () => {
    const plan = { kind: 'probe' as const, cohort: { min: 2, goal: 3, max: 3 }, attempts: 2 };
    expect(
      play(plan, [
        [0, started('a', 'b', 'c')],
        [10, update('a')],
        [1000, time],
        [1500, time],
        [1510, update('b')],
        [1520, update('c')],
        [2500, time],
      ]),
    ).toEqual([
      '0 started -> running training 1.1 | sendTrain(a b c)',
      '10 updateReceived a -> running training 1.1 | settle(a) | accepted',
      '1000 timePassed -> running abandoned 1.1 | cancel(a b c)',
      '1500 timePassed -> running training 1.2 | sendTrain(a b c)',
      '1510 updateReceived b -> running training 1.2 | settle(b) | accepted',
      '1520 updateReceived c -> running training 1.2 | settle(c) | accepted',
      '2500 timePassed -> running aggregating 1.2 | cancel(a), aggregate(b c)',
    ]);
  });

  it('fails with the reason once a round was abandoned too often', () => {
    let { state } = step(newRun(planOf({ attempts: 1 }), checkpoint(0), { atMs: 0 }), {
      kind: 'started',
      connected: ['a', 'b'],
      atMs: 0,
    });
    for (const agentId of ['a', 'b']) state = step(state, { ...failure(agentId), atMs: 5 }).state;
    expect([state.status, state.reason]).toEqual([
      'failed',
      'round 1 was abandoned once, the last time because 2 agents were asked, 2 updates were needed: 0 accepted, 0 refused, 2 failed, 0 lost, 0 silent',
    ]);
  });

  it('moves the deadline for agents that make progress, not for silent ones, and not for ever', () => {
    expect(
      play({ kind: 'probe', extensions: 1 }, [
        [0, started('a', 'b')],
        [1000, { kind: 'timePassed', active: ['b'] }],
        [1500, { kind: 'timePassed', active: ['b'] }],
      ]),
    ).toEqual([
      '0 started -> running training 1.1 | sendTrain(a b)',
      '1000 timePassed -> running training 1.1',
      '1500 timePassed -> running abandoned 1.1 | cancel(a b)',
    ]);
  });

  it('closes without an agent that was lost, and welcomes one that is back in time', () => {
    const plan = { kind: 'probe' as const, cohort: { min: 1, goal: 3, max: 3 } };
    expect(
      play(plan, [
        [0, started('a', 'b', 'c')],
        [10, { kind: 'agentLost', agentId: 'a' }],
        [20, { kind: 'agentLost', agentId: 'b' }],
        [30, update('c')],
        [50, { kind: 'agentConnected', agentId: 'b' }],
        [310, time],
        [320, update('b')],
      ]),
    ).toEqual([
      '0 started -> running training 1.1 | sendTrain(a b c)',
      '10 agentLost a -> running training 1.1',
      '20 agentLost b -> running training 1.1',
      '30 updateReceived c -> running training 1.1 | settle(c) | accepted',
      '50 agentConnected b -> running training 1.1',
      '310 timePassed -> running training 1.1',
      '320 updateReceived b -> running aggregating 1.1 | settle(b), cancel(a), aggregate(b c) | accepted',
    ]);
  });

  it('waits for a site that pauses no longer than for one that is away, keeps its reason, and takes its update all the same', () => {
    const plan = { kind: 'probe' as const, cohort: { min: 1, goal: 3, max: 3 } };
    const events: Timed[] = [
      [0, started('a', 'b', 'c')],
      [10, { kind: 'agentPaused', agentId: 'a', reason: 'paused by the site: backup' }],
      [30, update('c')],
      [310, time],
    ];
    expect(play(plan, events).slice(1)).toEqual([
      '10 agentPaused a -> running training 1.1',
      '30 updateReceived c -> running training 1.1 | settle(c) | accepted',
      '310 timePassed -> running training 1.1',
    ]);
    const { members, agents } = stateAfter(plan, events);
    expect(members['a']).toMatchObject({ state: 'paused', paused: 'paused by the site: backup' });
    expect(agents['a']).toMatchObject({ connected: false, paused: 'paused by the site: backup' });
    const resumed = stateAfter(plan, [...events, [320, { kind: 'agentConnected', agentId: 'a' }]]);
    expect(resumed.members['a']).toEqual({ state: 'selected', askedAtMs: 0 });
    expect(resumed.agents['a']).not.toHaveProperty('paused');
    expect(play(plan, [...events, [320, update('a')]]).at(-1)).toContain('accepted');
  });

  it('selects an agent that comes back again in the next round', () => {
    expect(
      play({ kind: 'probe', cohort: { min: 1, goal: 2, max: 2 } }, [
        [0, started('a', 'b')],
        [10, { kind: 'agentLost', agentId: 'a' }],
        [20, update('b')],
        [310, time],
        [320, aggregated(1)],
        [325, { kind: 'agentConnected', agentId: 'a' }],
        [330, { kind: 'advanced', round: 1, attempt: 1 }],
      ]).slice(3),
    ).toEqual([
      '310 timePassed -> running aggregating 1.1 | cancel(a), aggregate(b)',
      '320 aggregated -> running committed 1.1 | commit, advance',
      '325 agentConnected a -> running committed 1.1',
      '330 advanced -> running training 2.1 | sendTrain(a b)',
    ]);
  });

  it('answers every update with a value: repeated, duplicate, late, unknown, uninvited, refused, unfinished', () => {
    expect(
      play({ kind: 'probe', cohort: { min: 1, goal: 4, max: 4 } }, [
        [0, started('a', 'b', 'c', 'd')],
        [1, update('a', 1, 'incomplete')],
        [2, update('a')],
        [3, update('a')],
        [4, { ...update('a'), update: updateOf('another') } as Untimed],
        [5, update('b', 2)],
        [6, update('b', 0)],
        [7, update('z')],
        [8, update('b', 1, 'norm')],
        [9, update('b', 1, 'norm')],
        [10, { ...update('b'), update: updateOf('better') } as Untimed],
        [11, failure('a')],
        [12, failure('c')],
        [13, failure('c')],
        [14, { kind: 'evaluationReported', agentId: 'a', round: 1, measures: measures(1, 2) }],
      ]).slice(1),
    ).toEqual([
      '1 updateReceived a -> running training 1.1 | incomplete',
      '2 updateReceived a -> running training 1.1 | settle(a) | accepted',
      '3 updateReceived a -> running training 1.1 | accepted',
      '4 updateReceived a -> running training 1.1 | duplicate',
      '5 updateReceived b -> running training 1.1 | unknown-round',
      '6 updateReceived b -> running training 1.1 | unknown-round',
      '7 updateReceived z -> running training 1.1 | not-selected',
      '8 updateReceived b -> running training 1.1 | settle(b) | norm',
      '9 updateReceived b -> running training 1.1 | norm',
      '10 updateReceived b -> running training 1.1 | duplicate',
      '11 failureReported a -> running training 1.1 | duplicate',
      '12 failureReported c -> running training 1.1 | settle(c) | accepted',
      '13 failureReported c -> running training 1.1 | accepted',
      '14 evaluationReported a -> running training 1.1 | late',
    ]);
  });

  it('takes up a round where it was after a restart, with the time that was lost added to its deadline', () => {
    let state = newRun(planOf({ kind: 'probe' }), checkpoint(0), { atMs: 0 });
    state = step(state, { kind: 'started', connected: ['a', 'b'], atMs: 0 }).state;
    state = step(state, { ...update('a'), atMs: 100 }).state;
    state = step(state, { kind: 'restarted', connected: [], atMs: 60_100 }).state;
    expect([state.phase, state.deadlineMs, wakeAtMs(state)]).toEqual(['training', 61_000, 60_400]);
    state = step(state, { kind: 'agentConnected', agentId: 'b', atMs: 60_200 }).state;
    expect(wakeAtMs(state)).toBe(61_000);
    expect(step(state, { ...update('b'), atMs: 60_300 }).state.phase).toBe('aggregating');
  });

  it('tries again when the fold failed, and ignores the result of a try that is over', () => {
    expect(
      play({ kind: 'probe' }, [
        [0, started('a', 'b')],
        [1, update('a')],
        [2, update('b')],
        [3, { kind: 'workFailed', round: 1, attempt: 1, work: 'aggregate', message: 'disk full' }],
        [503, time],
        [504, aggregated(1, 1)],
      ]).slice(3),
    ).toEqual([
      '3 workFailed -> running abandoned 1.1 | cancel(a b)',
      '503 timePassed -> running training 1.2 | sendTrain(a b)',
      '504 aggregated -> running training 1.2',
    ]);
  });

  it('goes on in fp32 where quantization fails, and without the agents that do not evaluate in time', () => {
    expect(
      play({ rounds: 2, evaluationMs: 1000 }, [
        [0, started('a', 'b')],
        [1, update('a')],
        [2, update('b')],
        [3, aggregated(1)],
        [4, { kind: 'workFailed', round: 1, attempt: 1, work: 'quantize', message: 'no ranges' }],
        [5, { kind: 'agentLost', agentId: 'b' }],
        [6, { kind: 'evaluationReported', agentId: 'a', round: 1, measures: measures(5, 10) }],
        [1004, time],
        [1010, { kind: 'advanced', round: 1, attempt: 1 }],
      ]).slice(4),
    ).toEqual([
      '4 workFailed -> running evaluating 1.1 | sendEvaluate(a b)',
      '5 agentLost b -> running evaluating 1.1',
      '6 evaluationReported a -> running evaluating 1.1 | settle(a) | accepted',
      '1004 timePassed -> running committed 1.1 | settle(b), commit, advance',
      '1010 advanced -> waiting selecting 2.1',
    ]);
  });

  it('stops at once and answers late to what comes after', () => {
    expect(
      play({}, [
        [0, started('a', 'b')],
        [1, { kind: 'stopRequested', reason: 'wrong task' }],
        [2, update('a')],
        [3, { kind: 'agentConnected', agentId: 'c' }],
      ]),
    ).toEqual([
      '0 started -> running training 1.1 | sendTrain(a b)',
      '1 stopRequested -> stopped training 1.1 | cancel(a b)',
      '2 updateReceived a -> stopped training 1.1 | late',
      '3 agentConnected c -> stopped training 1.1',
    ]);
  });
});

describe('the table of transitions', () => {
  it('reaches every phase', () => {
    expect(unreachablePhases(transitions)).toEqual([]);
  });

  it('finds a phase that nothing leads to', () => {
    expect(unreachablePhases({ ...transitions, quantizing: { next: [] } })).toEqual(['evaluating', 'committed']);
  });
});
