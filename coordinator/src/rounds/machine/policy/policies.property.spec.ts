/**
 * Runs of every policy with agents that behave like agents: they work on the plans they got, one after the other, are slow, leave,
 * come back, report twice, fail. Checked after every step, over random seeds.
 */
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';

import { random, type Random } from '@graft/core/random';

import type { Effect } from '../effect.js';
import type { RunEvent } from '../event.js';
import { newRun, step, wakeAtMs } from '../machine.js';
import { checkpoint, planOf, updateOf } from '../scenario.contract.js';
import { isAtWork, isOpen, type RunPlan, type RunState } from '../state.js';
import { baseHashOf } from './carry.js';
import { atWorkCount } from './choose.js';
import { baseRound, maxStaleness, updateWeight } from './staleness.js';

const agentIds = ['a', 'b', 'c', 'd', 'e', 'f'];

interface Job {
  readonly round: number;
  readonly baseHash: string;
  readonly doneAtMs: number;
}

/** What a run did, as its laws see it. */
interface Account {
  readonly folded: Map<string, number>;
  readonly commits: number[];
  refusedJobs: number;
}

function law(holds: boolean, sentence: string): void {
  if (!holds) throw new Error(`broken: ${sentence}`);
}

class Population {
  readonly jobs = new Map<string, Job>();
  readonly connected = new Set(agentIds);
  readonly account: Account = { folded: new Map(), commits: [], refusedJobs: 0 };
  state: RunState;
  atMs = 0;
  private pending: Effect[] = [];
  /** Updates in the fold that is in hand. */
  private inFold: string[] = [];
  /** Reports whose answer was lost: told again. */
  private readonly again: Extract<RunEvent, { kind: 'updateReceived' }>[] = [];

  constructor(
    plan: RunPlan,
    private readonly chance: Random,
  ) {
    this.state = newRun(plan, checkpoint(0), { atMs: 0 });
    this.feed({ kind: 'started', connected: agentIds, atMs: 0 });
  }

  feed(event: RunEvent): boolean {
    const before = this.state;
    const frozen = JSON.stringify(before);
    const { state, effects, verdict } = step(before, event);
    law(JSON.stringify(before) === frozen, 'a step leaves its input as it was');
    this.state = state;
    for (const effect of effects) this.note(before, effect);
    this.check(event);
    return verdict?.accepted ?? true;
  }

  private note(before: RunState, effect: Effect): void {
    const { state } = this;
    const { plan } = state;
    if (effect.kind === 'sendTrain') {
      for (const id of effect.agentIds) {
        const old = this.jobs.get(id);
        law(old === undefined || !this.isWanted(id, old.round), `agent ${id} has one plan at a time`);
        const doneAtMs = this.atMs + this.chance.below(id === 'a' ? 4000 : 600);
        this.jobs.set(id, { round: state.round, baseHash: state.base.fp16.hash, doneAtMs });
      }
    }
    if (effect.kind === 'cancel') {
      for (const id of effect.agentIds) {
        if (this.jobs.get(id)?.round === (effect.round ?? before.round)) this.jobs.delete(id);
      }
    }
    if (effect.kind === 'aggregate') {
      law(effect.agentIds.length >= plan.cohort.min, 'a fold has the minimum of updates');
      this.inFold = effect.agentIds.map((id) => state.members[id]?.update?.nonce ?? '');
      let total = 0;
      for (const id of effect.agentIds) {
        const weight = updateWeight(state, id);
        const staleness = state.round - baseRound(state, id);
        law(staleness >= 0 && staleness <= maxStaleness(plan), 'no update is staler than the task allows');
        law(weight === 1 / Math.sqrt(1 + staleness), 'an update weighs (1 + s)^-1/2');
        total += weight / effect.agentIds.length;
      }
      law(total > 0 && total <= 1 + 1e-12, 'the shares of a fold add up to no more than one');
    }
    if (effect.kind === 'commit') {
      this.account.commits.push(before.round);
      for (const nonce of this.inFold) this.account.folded.set(nonce, (this.account.folded.get(nonce) ?? 0) + 1);
    }
    if (effect.kind === 'aggregate' || effect.kind === 'advance') this.pending.push(effect);
  }

  private isWanted(id: string, round: number): boolean {
    return [this.state.members[id], this.state.carried[id]].some(
      (member) => member !== undefined && isAtWork(member) && member.askedAtMs !== this.atMs && member.round === round,
    );
  }

  private check(event: RunEvent): void {
    const { state } = this;
    const { plan, members, carried } = state;
    for (const [nonce, times] of this.account.folded) law(times === 1, `update ${nonce} counts once`);
    if (plan.policy.kind === 'synchronous') law(Object.keys(carried).length === 0, 'synchronous rounds carry nobody');
    const isGrowing = event.kind !== 'agentConnected' && event.kind !== 'restarted';
    const lostOnes = Object.values({ ...members, ...carried }).filter((member) => member.state === 'lost').length;
    if (isGrowing && lostOnes === 0 && !this.hasReturned) {
      law(atWorkCount(state) <= plan.cohort.max, 'no more agents are at work than the task allows');
    }
    for (const [id, member] of [...Object.entries(members), ...Object.entries(carried)]) {
      if (!isOpen(state) || (!isAtWork(member) && member.state !== 'accepted')) continue;
      const of = member.round ?? state.round;
      law(baseHashOf(state, of) !== undefined, `the base of the work of agent ${id} is known`);
    }
    law(Object.keys(state.memory.agents).length <= agentIds.length, 'the memory is bounded');
  }

  /** An agent that was given up on may have come back to its place, beside who was asked for it. */
  private hasReturned = false;

  turn(): void {
    const { chance } = this;
    this.atMs += 1 + chance.below(60);
    const { atMs } = this;
    const dueAtMs = wakeAtMs(this.state);
    if (dueAtMs !== undefined && dueAtMs <= atMs) this.feed({ kind: 'timePassed', active: this.working(), atMs });
    if (chance.next() < 0.01) {
      this.hasReturned = true;
      this.feed({ kind: 'restarted', connected: [...this.connected], atMs });
    }
    for (const agentId of agentIds) this.act(agentId);
    const [next, ...rest] = chance.shuffle(this.pending);
    this.pending = rest;
    if (next !== undefined && chance.next() < 0.5) this.finish(next);
    else if (next !== undefined) this.pending.push(next);
  }

  private working(): string[] {
    return [...this.jobs.keys()].filter((id) => this.connected.has(id));
  }

  private act(agentId: string): void {
    const { chance, atMs } = this;
    if (!this.connected.has(agentId)) {
      if (chance.next() < 0.1) {
        this.hasReturned = true;
        this.connected.add(agentId);
        this.feed({ kind: 'agentConnected', agentId, atMs });
      }
      return;
    }
    if (chance.next() < 0.01) {
      this.connected.delete(agentId);
      this.feed({ kind: 'agentLost', agentId, atMs });
      return;
    }
    if (chance.next() < 0.2) for (const report of this.again.splice(0)) this.feed({ ...report, atMs });
    const job = this.jobs.get(agentId);
    if (job === undefined) return;
    if (chance.next() < 0.1) this.feed({ kind: 'progressed', agentId, round: job.round, atMs });
    if (job.doneAtMs > atMs) return;
    this.jobs.delete(agentId);
    const { round } = job;
    if (chance.next() < 0.05) {
      this.feed({ kind: 'failureReported', agentId, round, code: 'X', message: '', atMs });
      return;
    }
    const isStale = job.baseHash !== baseHashOf(this.state, round);
    const update = updateOf(`${agentId}-${round}-${atMs}`);
    const refusal = isStale ? { refusal: { reason: 'stale-base' as const, message: 'stale' } } : {};
    const report = { kind: 'updateReceived' as const, agentId, round, update, ...refusal };
    const isAccepted = this.feed({ ...report, atMs });
    if (!isAccepted) this.account.refusedJobs += 1;
    if (chance.next() < 0.2) this.again.push({ ...report, atMs });
  }

  private finish(effect: Effect): void {
    const { atMs } = this;
    if (effect.kind === 'aggregate') {
      const { round, attempt } = effect;
      const of = { round, attempt, atMs };
      const report = { updateCount: effect.agentIds.length, exampleCount: 1, norm: 1 };
      if (this.chance.next() < 0.05) this.feed({ kind: 'workFailed', work: 'aggregate', message: 'no memory', ...of });
      else this.feed({ kind: 'aggregated', candidate: checkpoint(round), report, ...of });
    }
    if (effect.kind === 'advance') {
      this.feed({ kind: 'advanced', round: effect.round, attempt: effect.attempt, atMs });
    }
  }
}

const policy: fc.Arbitrary<RunPlan['policy']> = fc.oneof(
  fc.constant({ kind: 'synchronous' as const }),
  fc.record({ kind: fc.constant('bufferedAsynchronous' as const), maxStaleness: fc.integer({ min: 0, max: 4 }) }),
  fc.record({ kind: fc.constant('semiSynchronous' as const), maxStaleness: fc.integer({ min: 0, max: 4 }) }),
);

const plan = fc
  .record({
    policy,
    order: fc.constantFrom<RunPlan['selection']['order']>(
      { kind: 'random' },
      { kind: 'leastRecentlyChosen' },
      { kind: 'utility', exploration: 0.5, slownessPenalty: 2 },
    ),
    deadline: fc.constantFrom({}, { patience: 2 }),
    sizes: fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 3, maxLength: 3 }),
    rounds: fc.integer({ min: 1, max: 8 }),
  })
  .map(({ policy: kind, order, deadline, sizes, rounds }) => {
    const [min = 1, goal = 1, max = 1] = [...sizes].sort((a, b) => a - b);
    const cohort = { min, goal, max };
    return planOf({
      kind: 'probe',
      rounds,
      cohort,
      policy: kind,
      selection: { tags: [], order },
      deadline,
      attempts: 5,
    });
  });

describe('a run of any policy', () => {
  it('counts an update once, folds at least the minimum, weighs by staleness, and ends', () => {
    fc.assert(
      fc.property(plan, fc.integer(), (chosen, seed) => {
        const population = new Population(chosen, random(seed));
        for (let turn = 0; turn < 3000 && isOpen(population.state); turn++) population.turn();
        const { state, account } = population;
        expect(JSON.parse(JSON.stringify(state))).toEqual(state);
        const isWhole = state.status === 'completed' && account.commits.length === chosen.rounds;
        const isExplained = state.status === 'failed' && /^round \d+ was abandoned/u.test(state.reason);
        expect([state.status, state.reason, isWhole || isExplained]).toEqual([state.status, state.reason, true]);
        if (state.status === 'completed') expect(population.jobs.size).toBe(0);
      }),
      { numRuns: 150 },
    );
  });
});
