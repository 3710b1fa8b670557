import * as fc from 'fast-check';

import { random } from '@graft/core/random';

import { refusalReasons } from '../rounds.js';
import type { Effect } from './effect.js';
import type { RunEvent } from './event.js';
import { newRun, step, wakeAtMs } from './machine.js';
import { checkpoint, measures, planOf, updateOf } from './scenario.contract.js';
import { isOpen, membersIn, type Phase, type RunPlan, type RunState } from './state.js';

const agentIds = ['a', 'b', 'c', 'd', 'e'];
const agent = fc.constantFrom(...agentIds, 'stranger');
const round = fc.integer({ min: 0, max: 4 });
const attempt = fc.integer({ min: 1, max: 3 });
const refusal = fc.option(
  fc.constantFrom(...refusalReasons).map((reason) => ({ reason, message: reason })),
  { nil: undefined },
);

const traits = fc.record(
  { tags: fc.subarray(['gpu', 'icu']), declinedTasks: fc.subarray(['digits']) },
  { requiredKeys: [] },
);

/** Anything at all, at any time: most of it makes no sense, some of it does. */
const event: fc.Arbitrary<RunEvent> = fc
  .oneof(
    fc.record({ kind: fc.constant('agentConnected' as const), agentId: agent }),
    fc.record({ kind: fc.constant('agentConnected' as const), agentId: agent, traits }),
    fc.record({ kind: fc.constant('agentLost' as const), agentId: agent }),
    fc.record({ kind: fc.constant('agentPaused' as const), agentId: agent, reason: fc.string() }),
    fc.record({ kind: fc.constant('restarted' as const), connected: fc.subarray(agentIds) }),
    fc.record({ kind: fc.constant('progressed' as const), agentId: agent, round }),
    fc.record({ kind: fc.constant('timePassed' as const), active: fc.subarray(agentIds) }),
    fc.tuple(agent, round, fc.integer({ min: 0, max: 2 }), refusal).map(([agentId, of, nonce, refused]) => ({
      kind: 'updateReceived' as const,
      agentId,
      round: of,
      update: updateOf(`${agentId}-${of}-${nonce}`),
      ...(refused && { refusal: refused }),
    })),
    fc.record({
      kind: fc.constant('failureReported' as const),
      agentId: agent,
      round,
      code: fc.constant('DATA_NOT_FOUND'),
      message: fc.string(),
    }),
    fc.record({
      kind: fc.constant('evaluationReported' as const),
      agentId: agent,
      round,
      measures: fc.constant(measures(5, 10)),
    }),
    fc.record({
      kind: fc.constant('aggregated' as const),
      round,
      attempt,
      candidate: fc.constant(checkpoint(1)),
      report: fc.constant({ updateCount: 1, exampleCount: 1, norm: 1 }),
    }),
    fc.record({
      kind: fc.constant('quantized' as const),
      round,
      attempt,
      result: fc.constant({ none: 'not now' }),
    }),
    fc.record({
      kind: fc.constant('evaluatedCentrally' as const),
      round,
      attempt,
      result: fc.constant(measures(5, 10)),
    }),
    fc.record({
      kind: fc.constant('workFailed' as const),
      round,
      attempt,
      work: fc.constantFrom('aggregate' as const, 'quantize' as const, 'evaluateCentral' as const),
      message: fc.string(),
    }),
    fc.record({ kind: fc.constant('advanced' as const), round, attempt }),
  )
  .chain((untimed) => fc.integer({ min: 0, max: 400 }).map((after) => ({ ...untimed, atMs: after })));

const policy: fc.Arbitrary<RunPlan['policy']> = fc.oneof(
  fc.constant({ kind: 'synchronous' as const }),
  fc.record({ kind: fc.constant('bufferedAsynchronous' as const), maxStaleness: fc.integer({ min: 0, max: 3 }) }),
  fc.record({ kind: fc.constant('semiSynchronous' as const), maxStaleness: fc.integer({ min: 0, max: 3 }) }),
);
const order: fc.Arbitrary<RunPlan['selection']['order']> = fc.constantFrom(
  { kind: 'random' },
  { kind: 'leastRecentlyChosen' },
  { kind: 'utility', exploration: 0.5, slownessPenalty: 2 },
);

const plan = fc
  .record({
    kind: fc.constantFrom('fit' as const, 'probe' as const),
    rounds: fc.integer({ min: 1, max: 3 }),
    holdOut: fc.boolean(),
    attempts: fc.integer({ min: 1, max: 3 }),
    extensions: fc.integer({ min: 0, max: 2 }),
    sizes: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 3, maxLength: 3 }),
    minMs: fc.constantFrom(0, 200),
    policy,
    selection: fc.record({ tags: fc.subarray(['gpu']), order }),
    deadline: fc.constantFrom({}, { patience: 1.5 }),
  })
  .map(({ sizes, minMs, ...rest }) => {
    const [min = 1, goal = 1, max = 1] = [...sizes].sort((a, b) => a - b);
    return planOf({ ...rest, cohort: { min, goal, max }, window: { minMs, maxMs: 1000 } });
  });

/** The phase that a run must have entered for an effect to be legal. */
const phaseOf: Partial<Record<Effect['kind'], Phase>> = {
  sendTrain: 'training',
  aggregate: 'aggregating',
  quantize: 'quantizing',
  sendEvaluate: 'evaluating',
  evaluateCentral: 'evaluating',
};

function refusedCount(state: RunState): number {
  return Object.values(state.refusals)
    .flatMap((own) => Object.values(own))
    .reduce((total, count) => total + count, 0);
}

/** Cheap where `expect` is not: it runs some hundred thousand times. */
function law(holds: boolean, sentence: string): void {
  if (!holds) throw new Error(`broken: ${sentence}`);
}

function checkStep(before: RunState, happened: RunEvent, commits: Set<number>): RunState {
  const frozen = JSON.stringify(before);
  const { state, effects, verdict } = step(before, happened);
  law(JSON.stringify(before) === frozen, 'a step leaves its input as it was');
  const isReport = ['updateReceived', 'failureReported', 'evaluationReported'].includes(happened.kind);
  law((verdict !== undefined) === isReport, 'exactly the reports are answered');
  if (verdict?.accepted === false && isOpen(before) && before.round === state.round) {
    const more = refusedCount(state) - refusedCount(before);
    law(more === 0 || more === 1, 'a refusal is counted once, its repetition not at all');
  }
  for (const effect of effects) checkEffect(before, state, effect, commits);
  if (!isOpen(before)) law(JSON.stringify(state) === frozen, 'a run that is over does not change');
  law(state.committedRounds === Math.max(0, ...commits), 'committed rounds are counted');
  const withUpdate = membersIn(state, 'accepted').every((id) => state.members[id]?.update !== undefined);
  law(withUpdate, 'an accepted member has an update');
  return state;
}

function checkEffect(before: RunState, state: RunState, effect: Effect, commits: Set<number>): void {
  if (effect.kind === 'commit') {
    law(
      [...commits].every((committed) => committed < before.round),
      'rounds are committed once and in order',
    );
    commits.add(before.round);
    law(state.base === state.candidate, 'the next base is what the round made');
  }
  const phase = phaseOf[effect.kind];
  if (phase !== undefined)
    law(state.phase === phase || state.phase === 'committed', `${effect.kind} belongs to ${phase}`);
  if (effect.kind === 'aggregate') {
    law(effect.agentIds.length >= state.plan.cohort.min, 'a fold has the minimum of updates');
    law(effect.agentIds.join() === membersIn(state, 'accepted').join(), 'a fold has all accepted, in canonical order');
  }
  if (effect.kind === 'sendTrain') law(effect.agentIds.length <= state.plan.cohort.max, 'at most max are asked');
}

describe('a run, whatever happens to it', () => {
  it('keeps its counters, commits a round once and in order, and asks only for what its phase allows', () => {
    fc.assert(
      fc.property(plan, fc.subarray(agentIds), fc.array(event, { maxLength: 120 }), (chosen, connected, events) => {
        const commits = new Set<number>();
        let atMs = 0;
        let state = newRun(chosen, checkpoint(0), { atMs });
        state = checkStep(state, { kind: 'started', connected, atMs }, commits);
        for (const next of events) {
          atMs += next.atMs;
          state = checkStep(state, { ...next, atMs }, commits);
        }
        // What is stored is what is loaded.
        expect(JSON.parse(JSON.stringify(state))).toEqual(state);
      }),
      { numRuns: 200 },
    );
  });

  it('comes to an end when its agents answer, fail, leave and return as they like', () => {
    fc.assert(
      fc.property(plan, fc.integer(), (drawn, seed) => {
        // Nobody here has a tag: a run that asked for one would wait for ever, and rightly.
        const chosen = { ...drawn, selection: { ...drawn.selection, tags: [] } };
        const state = simulate(newRun(chosen, checkpoint(0), { atMs: 0 }), seed);
        const isWhole = state.status === 'completed' && state.committedRounds === chosen.rounds;
        const isExplained = state.status === 'failed' && /^round \d was abandoned/u.test(state.reason);
        expect([state.status, isWhole || isExplained]).toEqual([state.status, true]);
      }),
      { numRuns: 100 },
    );
  });
});

/** A driver in small: performs effects late and in any order, crashes at times, lets agents answer at random. */
function simulate(first: RunState, seed: number): RunState {
  const chance = random(seed);
  const commits = new Set<number>();
  let state = first;
  let atMs = 0;
  let pending: Effect[] = [];
  const feed = (untimed: RunEvent): void => {
    const before = state;
    const { effects } = step(before, untimed);
    state = checkStep(before, untimed, commits);
    pending.push(...effects);
  };
  feed({ kind: 'started', connected: agentIds, atMs });
  for (let turn = 0; turn < 5000 && isOpen(state); turn++) {
    atMs += chance.below(60);
    const dueAtMs = wakeAtMs(state);
    if (dueAtMs !== undefined && dueAtMs <= atMs) feed({ kind: 'timePassed', active: [], atMs });
    if (chance.next() < 0.02) feed({ kind: 'restarted', connected: agentIds.slice(0, chance.below(6)), atMs });
    for (const agentId of agentIds) {
      const roll = chance.next();
      if (roll < 0.03) feed({ kind: 'agentLost', agentId, atMs });
      else if (roll < 0.2) feed({ kind: 'agentConnected', agentId, atMs });
      else if (roll < 0.22)
        feed({ kind: 'failureReported', agentId, round: state.round, code: 'X', message: '', atMs });
      else if (roll < 0.4) {
        const update = updateOf(`${agentId}-${state.round}-${state.attempt}`);
        feed({ kind: 'updateReceived', agentId, round: state.round, update, atMs });
      } else if (roll < 0.6) {
        feed({ kind: 'evaluationReported', agentId, round: state.round, measures: measures(5, 10), atMs });
      }
    }
    const [next, ...rest] = chance.shuffle(pending);
    pending = rest;
    if (next !== undefined) for (const result of resultsOf(next, atMs)) feed(result);
  }
  return state;
}

function resultsOf(effect: Effect, atMs: number): RunEvent[] {
  switch (effect.kind) {
    case 'aggregate': {
      const { round: of, attempt: at } = effect;
      const report = { updateCount: effect.agentIds.length, exampleCount: 1, norm: 1 };
      const done: RunEvent = { kind: 'aggregated', round: of, attempt: at, candidate: checkpoint(of), report, atMs };
      // An effect that was performed twice, because a crash came between its result and its record.
      return [done, done];
    }
    case 'quantize': {
      const { round: of, attempt: at } = effect;
      return [{ kind: 'quantized', round: of, attempt: at, result: { none: 'x' }, atMs }];
    }
    case 'evaluateCentral': {
      const { round: of, attempt: at } = effect;
      return [{ kind: 'workFailed', round: of, attempt: at, work: 'evaluateCentral', message: 'no memory', atMs }];
    }
    case 'advance': {
      const { round: of, attempt: at } = effect;
      const done: RunEvent = { kind: 'advanced', round: of, attempt: at, atMs };
      return [done, done];
    }
    default:
      return [];
  }
}
