import { describe, expect, it } from '@jest/globals';

import type { RunEvent, TraitsById } from '../event.js';
import { newRun, step, wakeAtMs } from '../machine.js';
import { checkpoint, planOf, updateOf } from '../scenario.contract.js';
import { membersIn, type RunPlan, type RunState } from '../state.js';
import { spanMs } from './deadline.js';
import { mostAgents, mostAnswers, noteAnswers, noteChosen } from './memory.js';

function started(changes: Partial<RunPlan>, connected: readonly string[], traits: TraitsById = {}): RunState {
  const plan = planOf({ kind: 'probe', rounds: 50, ...changes });
  return step(newRun(plan, checkpoint(0), { atMs: 0 }), { kind: 'started', connected, traits, atMs: 0 }).state;
}

function feed(state: RunState, ...events: RunEvent[]): RunState {
  return events.reduce((next, event) => step(next, event).state, state);
}

/** All members of the round in hand report after `tookMs`, and it is committed. */
function committedRound(state: RunState, tookMs: number): RunState {
  const { round, attempt } = state;
  const atMs = state.atMs + tookMs;
  const reported = membersIn(state, 'selected').reduce(
    (next, agentId) =>
      next.phase === 'training'
        ? feed(next, { kind: 'updateReceived', agentId, round, update: updateOf(`${agentId}-${round}`), atMs })
        : next,
    state,
  );
  const report = { updateCount: 1, exampleCount: 1, norm: 1 };
  return feed(
    reported,
    { kind: 'aggregated', round, attempt, candidate: checkpoint(round), report, atMs },
    { kind: 'advanced', round, attempt, atMs },
  );
}

describe('a wait for agents', () => {
  const selection: RunPlan['selection'] = { tags: ['icu'], order: { kind: 'random' } };
  const cohort = { min: 4, goal: 4, max: 4 };

  it('says what it needs, who is here by name, and what would end it', () => {
    const icu = { tags: ['icu', 'device:cpu'] };
    const traits = { a: { ...icu, name: 'charite' }, b: { ...icu, name: 'ukbonn' }, c: { name: 'lab' } };
    const state = started({ selection, cohort }, ['a', 'b', 'c'], traits);
    expect([state.status, state.reason]).toEqual([
      'waiting',
      'round 1 needs 4 agents with tag icu; 2 are connected: charite, ukbonn, besides 1 that may not take part: lab; ' +
        'it goes on when 2 more connect',
    ]);
  });

  it('says so where nobody is here, and does not list hundreds', () => {
    expect(started({ cohort }, []).reason).toBe(
      'round 1 needs 4 agents; none is connected; it goes on when 4 more connect',
    );
    const many = Array.from({ length: 12 }, (_, i) => `agent-${String(i).padStart(2, '0')}`);
    expect(started({ cohort: { min: 13, goal: 13, max: 13 } }, many).reason).toMatch(
      /12 are connected: agent-00, .*agent-09 and 2 more; it goes on when another one connects$/,
    );
  });

  it('ends when an agent gets the tag that was missing, without connecting anew', () => {
    const waiting = started({ selection, cohort: { min: 1, goal: 1, max: 1 } }, ['a']);
    expect(waiting.status).toBe('waiting');
    const state = feed(waiting, { kind: 'agentConnected', agentId: 'a', traits: { tags: ['icu'] }, atMs: 5 });
    expect([state.status, state.phase]).toEqual(['running', 'training']);
  });

  it('does not count a site that declines the task', () => {
    const traits = { a: { declinedTasks: ['digits'] } };
    expect(started({ taskName: 'digits', cohort: { min: 1, goal: 1, max: 1 } }, ['a'], traits).status).toBe('waiting');
  });
});

describe('a cohort', () => {
  it('has only agents with all the tags of the task', () => {
    const traits = { a: { tags: ['icu', 'mri'] }, b: { tags: ['icu'] }, c: { tags: ['mri', 'icu'] } };
    const selection: RunPlan['selection'] = { tags: ['icu', 'mri'], order: { kind: 'random' } };
    const state = started({ selection, cohort: { min: 1, goal: 2, max: 3 } }, ['a', 'b', 'c'], traits);
    expect(Object.keys(state.members)).toEqual(['a', 'c']);
  });

  it('takes turns where the least recently chosen come first', () => {
    const selection: RunPlan['selection'] = { tags: [], order: { kind: 'leastRecentlyChosen' } };
    let state = started({ selection, cohort: { min: 2, goal: 2, max: 2 } }, ['a', 'b', 'c', 'd']);
    const seen: string[] = [];
    for (let round = 1; round <= 4; round++) {
      seen.push(...Object.keys(state.members));
      state = committedRound(state, 10);
    }
    expect(seen.slice(0, 4).sort()).toEqual(['a', 'b', 'c', 'd']);
    expect(seen.slice(4).sort()).toEqual(['a', 'b', 'c', 'd']);
  });

  it('is of those who teach most where utility decides', () => {
    const order = { kind: 'utility', exploration: 0, slownessPenalty: 2 } as const;
    const all = ['a', 'b', 'c'];
    let state = started({ selection: { tags: [], order }, cohort: { min: 3, goal: 3, max: 3 } }, all);
    for (const agentId of all) {
      const update = { ...updateOf(agentId), loss: agentId === 'b' ? 10 : 0.1 };
      state = feed(state, { kind: 'updateReceived', agentId, round: 1, update, atMs: 10 });
    }
    const report = { updateCount: 3, exampleCount: 30, norm: 1 };
    const narrow = { ...state, plan: { ...state.plan, cohort: { min: 1, goal: 1, max: 1 } } };
    const next = feed(
      narrow,
      { kind: 'aggregated', round: 1, attempt: 1, candidate: checkpoint(1), report, atMs: 10 },
      { kind: 'advanced', round: 1, attempt: 1, atMs: 10 },
    );
    expect(next.memory.agents.b).toEqual({
      chosenInRound: 2,
      answer: { round: 1, exampleCount: 10, loss: 10, tookMs: 10 },
    });
    expect(Object.keys(next.members)).toEqual(['b']);
  });
});

describe('what a run remembers', () => {
  it('is nothing where chance selects and the window is the deadline', () => {
    const state = committedRound(started({}, ['a', 'b']), 10);
    expect(state.memory).toEqual({ agents: {}, answerMs: [] });
  });

  it('is bounded: whoever was asked longest ago is forgotten', () => {
    const selection: RunPlan['selection'] = { tags: [], order: { kind: 'leastRecentlyChosen' } };
    const first = noteChosen(started({ selection }, []), ['old']);
    const ids = Array.from({ length: mostAgents }, (_, i) => `agent-${i}`);
    const { memory } = noteChosen({ ...first, round: 2 }, ids);
    expect(Object.keys(memory.agents)).toHaveLength(mostAgents);
    expect(memory.agents.old).toBeUndefined();
    const accepted = { state: 'accepted', update: updateOf('x'), askedAtMs: 0, answeredAtMs: 1 } as const;
    const members = Object.fromEntries(ids.slice(0, 100).map((id) => [id, accepted]));
    const patient = started({ deadline: { patience: 2 } }, []);
    expect(noteAnswers({ ...patient, members }).memory.answerMs).toHaveLength(mostAnswers);
  });
});

describe('a deadline with patience', () => {
  const cohort = { min: 1, goal: 3, max: 3 };
  const plan: Partial<RunPlan> = { cohort, deadline: { patience: 2 }, window: { minMs: 0, maxMs: 60_000 } };

  function secondRound(): RunState {
    return committedRound(started(plan, ['a', 'b', 'c']), 1000);
  }

  it('is the window until enough has been seen, then what nine in ten have needed times the patience', () => {
    const first = started(plan, ['a', 'b', 'c']);
    expect(spanMs(first)).toBe(60_000);
    const second = secondRound();
    expect(second.memory.answerMs).toEqual([1000, 1000, 1000]);
    expect([second.round, second.deadlineMs]).toEqual([2, second.atMs + 2000]);
    expect(spanMs({ ...second, plan: planOf({ ...plan, window: { minMs: 0, maxMs: 1500 } }) })).toBe(1500);
  });

  it('moves for those who make progress, never past the window, and not for the silent', () => {
    const second = secondRound();
    const { atMs } = second;
    const one = feed(second, { kind: 'updateReceived', agentId: 'a', round: 2, update: updateOf('a'), atMs });
    const silent = feed(one, { kind: 'timePassed', active: [], atMs: atMs + 2000 });
    expect(silent.phase).toBe('aggregating');
    let active = one;
    for (let turns = 0; active.phase === 'training'; turns++) {
      expect(turns).toBeLessThan(100);
      active = feed(active, { kind: 'timePassed', active: ['b'], atMs: wakeAtMs(active) ?? NaN });
      if (turns === 0) expect(active.deadlineMs).toBe(atMs + 3000);
    }
    expect([active.phase, active.atMs]).toEqual(['aggregating', atMs + 60_000]);
  });

  it('does not abandon a round below its minimum before the window ends', () => {
    const second = secondRound();
    const later = feed(second, { kind: 'timePassed', active: [], atMs: second.atMs + 2000 });
    expect([later.phase, later.deadlineMs]).toEqual(['training', second.atMs + 60_000]);
    expect(feed(later, { kind: 'timePassed', active: [], atMs: second.atMs + 60_000 }).phase).toBe('abandoned');
  });

  it('lets agents begin until the window ends, however early it comes', () => {
    const { state, effects } = step(newRun(planOf(plan), checkpoint(0), { atMs: 0 }), {
      kind: 'started',
      connected: ['a', 'b', 'c'],
      atMs: 0,
    });
    expect(state.phase).toBe('training');
    expect(effects).toContainEqual({ kind: 'sendTrain', agentIds: ['a', 'b', 'c'], deadlineMs: 60_000 });
  });
});
