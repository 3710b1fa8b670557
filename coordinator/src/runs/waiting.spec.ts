import { newRun, step } from '../rounds/machine/machine.js';
import type { RunEvent } from '../rounds/machine/event.js';
import { checkpoint, planOf, updateOf } from '../rounds/machine/scenario.contract.js';
import type { RunState } from '../rounds/machine/state.js';
import { waitingOf } from './waiting.js';

const plan = planOf({ kind: 'probe', rounds: 1, cohort: { min: 2, goal: 3, max: 3 } });

/** The state after events, each a tenth of a second after the one before. */
const after = (...events: readonly object[]): RunState =>
  events.reduce<RunState>(
    (state, event, index) => step(state, { ...event, atMs: 100 * (index + 1) } as RunEvent).state,
    newRun(plan, checkpoint(0), { atMs: 0 }),
  );

const update = (agentId: string): object => ({ kind: 'updateReceived', agentId, round: 1, update: updateOf(agentId) });

test('a run with too few agents says how many more it needs', () => {
  const waiting = waitingOf(after({ kind: 'started', connected: ['a'] }));
  expect(waiting?.endedBy).toBe('1 more agent that may take part');
  expect(waiting?.for).toContain('2');
  expect(waiting).not.toHaveProperty('untilMs');
});

test('a run with too few agents says whom it expects back', () => {
  const state = after({ kind: 'started', connected: ['a'] });
  const back = { agents: 2, byMs: Date.UTC(2026, 0, 1, 12, 3, 5) };
  expect(waitingOf(state, back)?.for).toMatch(/; 2 agents that had nothing to do are expected back by 12:03:05 UTC$/u);
});

test('a run says which sites have paused and why', () => {
  const started = { kind: 'started', connected: ['a', 'b', 'c'] };
  const paused = { kind: 'agentPaused', agentId: 'b', reason: 'paused by the site: backup' };
  expect(waitingOf(after(started, paused))?.for).toBe(
    'updates of 3 agents, 0 accepted; takes no work: b (paused by the site: backup)',
  );
  expect(waitingOf(after(started, paused, { kind: 'agentConnected', agentId: 'b' }))?.for).not.toContain('paused');
});

test('a run that gathers its goal says until when', () => {
  expect(waitingOf(after({ kind: 'started', connected: ['a', 'b'] }))).toEqual({
    for: '3 agents, 2 of them connected',
    endedBy: '1 more agent, or the deadline',
    untilMs: 1_100,
  });
});

test('training says whom it waits for, and what its deadline would mean', () => {
  const started = { kind: 'started', connected: ['a', 'b', 'c'] };
  expect(waitingOf(after(started, update('a')))).toMatchObject({
    for: 'updates of 2 agents, 1 accepted',
    endedBy: '2 more updates; at the deadline this try fails, because a round needs 2 updates and has 1',
    untilMs: 1_100,
  });
  expect(waitingOf(after(started, update('a'), update('b')))?.endedBy).toContain(
    'at the deadline the round closes with the 2 it has',
  );
});

test('work of the coordinator ends by itself, and a run that is over waits for nothing', () => {
  const started = { kind: 'started', connected: ['a', 'b', 'c'] };
  const aggregating = after(started, update('a'), update('b'), update('c'));
  expect(waitingOf(aggregating)).toEqual({ for: 'the sum of 3 updates', endedBy: 'the coordinator itself' });
  expect(waitingOf(step(aggregating, { kind: 'stopRequested', reason: 'x', atMs: 9_000 }).state)).toBeUndefined();
});
