/**
 * What is checked while things happen: who owns a run, what was persisted before it is performed, which way a state goes,
 * what agents and operators were promised. The first violation is kept and ends the simulation.
 */
import type { Lease, OwnedRun, Saved, StepToSave } from '../../../coordinator/src/rounds/engine-store.js';
import { transitions } from '../../../coordinator/src/rounds/machine/transitions.js';
import type { RunState } from '../../../coordinator/src/rounds/machine/state.js';
import type { StoredRun } from '../../../coordinator/src/rounds/material.js';
import type { Verdict } from '../../../coordinator/src/rounds/rounds.js';
import { agentId } from '../input.js';
import { demand, Violation } from '../world/violation.js';
import type { SealedDelta } from '../world/weights.js';

/** An update that an agent was told is accepted. */
export interface Promised {
  readonly agentId: string;
  readonly runId: string;
  readonly round: number;
  readonly nonce: string;
}

type Work = 'aggregate' | 'quantize' | 'evaluateCentral';

export interface Ledger {
  violation(): Error | undefined;
  fail(violation: unknown): void;
  /** A call of the store was done, whether or not its answer arrives. */
  stored(process: string, call: string, args: readonly unknown[], result: unknown): void;
  /** A process begins an effect. */
  performing(of: {
    readonly kind: Work;
    readonly process: string;
    readonly runId?: string;
    readonly round?: number;
  }): void;
  folding(of: { readonly delta: SealedDelta; readonly agentId: string }): void;
  answered(delta: SealedDelta, verdict: Verdict): void;
  promised(): readonly Promised[];
  /** An operator was told that the run is stopped. */
  stopped(runId: string): void;
  stoppedRuns(): ReadonlySet<string>;
  /** The process that may write a run. */
  holderOf(runId: string): string | undefined;
  verdicts(): Readonly<Record<string, number>>;
}

interface Known {
  readonly holder: string;
  readonly fence: number;
  readonly state: RunState;
}

export function createLedger(): Ledger {
  const runs = new Map<string, Known>();
  /** Outbox rows that are stored, by number. */
  const outbox = new Map<
    number,
    { readonly runId: string; readonly kind: string; readonly round: number; done: boolean }
  >();
  const promised: Promised[] = [];
  const stopped = new Set<string>();
  const verdicts: Record<string, number> = {};
  let first: Error | undefined;

  function note(check: () => void): void {
    try {
      check();
    } catch (error) {
      fail(error);
    }
  }

  function fail(error: unknown): void {
    first ??= error instanceof Error ? error : new Error(String(error));
  }

  function claimed(process: string, { run, lease }: OwnedRun): void {
    const known = runs.get(lease.runId);
    if (known !== undefined) {
      demand(lease.fence > known.fence, 'fences grow', () => `fence ${lease.fence} was taken after ${known.fence}`);
      demand(
        isSame(run.machine, known.state),
        'a restart goes on with what was stored',
        () => `${placeOf(run.machine)} after ${placeOf(known.state)}`,
      );
    }
    runs.set(lease.runId, { holder: process, fence: lease.fence, state: run.machine });
  }

  function saved(
    process: string,
    [lease, before, steps]: [Lease, StoredRun, readonly StepToSave[]],
    written: Saved,
  ): void {
    const known = runs.get(lease.runId);
    demand(
      known?.holder === process && known.fence === lease.fence,
      'one owner writes',
      () =>
        `${process} wrote run ${lease.runId} with fence ${lease.fence}, which ${known?.holder} owns with ${known?.fence}`,
    );
    // A step is made from what is stored: only then does it keep what a lost answer had stored.
    demand(
      isSame(before.machine, known.state),
      'a step starts from what is stored',
      () => `${placeOf(before.machine)} is not ${placeOf(known.state)}`,
    );
    let machine = known.state;
    for (const { result, context } of steps) {
      checkStep(machine, result.state);
      machine = result.state;
      const done = outbox.get(context.doneSeq ?? -1);
      if (done !== undefined) done.done = true;
    }
    runs.set(lease.runId, { ...known, state: written.run.machine });
    for (const { seq, effect } of written.outbox) {
      outbox.set(seq, { runId: lease.runId, kind: effect.kind, round: effect.round, done: false });
    }
  }

  /** The same update gets the same answer, as long as its round is not tried again. */
  function checkAnswer(of: Promised, reason: Verdict['reason']): void {
    const { plan, round, attempt } = runs.get(of.runId)?.state ?? {};
    if (reason !== 'duplicate' || plan?.policy.kind !== 'synchronous' || round !== of.round || attempt !== 1) return;
    const before = promised.some(
      (each) => each.runId === of.runId && each.round === of.round && each.nonce === of.nonce,
    );
    demand(!before, 'the same update gets the same answer', () => `${of.agentId}'s accepted update is a duplicate now`);
  }

  return {
    violation: () => first,
    fail,
    stored: (process, call, args, result) =>
      note(() => {
        if (call === 'create') {
          const [run] = args as [StoredRun];
          claimed(process, { run, lease: result as Lease });
        }
        if (call === 'claimAll') for (const owned of result as OwnedRun[]) claimed(process, owned);
        if (call === 'save') saved(process, args as [Lease, StoredRun, readonly StepToSave[]], result as Saved);
      }),
    performing: ({ kind, process, runId, round }) =>
      note(() => {
        const rows = [...outbox.values()].filter(
          (row) =>
            row.kind === kind &&
            (runId === undefined || row.runId === runId) &&
            (round === undefined || row.round === round),
        );
        // Who has lost this run may not know it yet, and does again what its successor has done; another run of its own says nothing.
        const persisted = rows.some((row) => !row.done || runs.get(row.runId)?.holder !== process);
        demand(
          persisted,
          'no effect before its persist',
          () => `${process} performs '${kind}', which is not in the outbox`,
        );
      }),
    folding: ({ delta, agentId: id }) =>
      note(() => {
        const whose = agentId(delta.agent);
        demand(whose === id, 'a delta counts for its agent', () => `the delta of ${whose} was folded as ${id}'s`);
        // Two norms have no median: with so few the norm alone refuses nobody.
        const isBad = delta.poison !== undefined && delta.poison !== 'norm';
        demand(!isBad, 'no bad delta is folded', () => `${id}'s update is ${delta.poison}`);
      }),
    answered: ({ agent, runId, round, nonce }, { accepted, reason }) => {
      verdicts[reason || 'accepted'] = (verdicts[reason || 'accepted'] ?? 0) + 1;
      note(() => checkAnswer({ agentId: agentId(agent), runId, round, nonce }, reason));
      if (accepted) promised.push({ agentId: agentId(agent), runId, round, nonce });
    },
    promised: () => promised,
    stopped: (runId) => void stopped.add(runId),
    stoppedRuns: () => stopped,
    holderOf: (runId) => runs.get(runId)?.holder,
    verdicts: () => verdicts,
  };
}

function placeOf({ round, attempt, phase, status }: RunState): string {
  return `round ${round}, try ${attempt}, ${phase}, ${status}`;
}

/** But for the time of the last event, and for who has begun: both are kept in memory until the next event stores them. */
function isSame(one: RunState, other: RunState): boolean {
  return one === other || canonical(withoutProgress(one)) === canonical(withoutProgress(other));
}

/** JSON with its keys in order: a database keeps no order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) =>
    typeof each === 'object' && each !== null && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)))
      : each,
  );
}

function withoutProgress(state: RunState): unknown {
  const members = Object.fromEntries(
    Object.entries(state.members).map(([id, member]) => [
      id,
      member.state === 'training' ? { ...member, state: 'selected' } : member,
    ]),
  );
  return { ...state, members, atMs: 0 };
}

/** A round follows its predecessor's commit, a try the one before; nothing is undone. */
function checkStep(before: RunState, after: RunState): void {
  const said = (): string => `${placeOf(before)} became ${placeOf(after)}`;
  if (before.status !== 'running' && before.status !== 'waiting') {
    throw new Violation('what is over stays over', said());
  }
  const isNext = after.round === before.round + 1 && after.attempt === 1 && before.phase === 'committed';
  const isAgain = after.round === before.round && after.attempt === before.attempt + 1 && before.phase === 'abandoned';
  const isSame = after.round === before.round && after.attempt === before.attempt;
  demand(isNext || isAgain || isSame, 'rounds and tries follow each other', said);
  demand(isReachable(before.phase, after.phase), 'phases follow the table', said);
  demand(after.committedRounds >= before.committedRounds, 'no commit is undone', said);
  const isAccepted = (state: RunState): string[] =>
    Object.keys(state.members).filter((id) => state.members[id]?.state === 'accepted');
  if (isSame && before.phase === 'training' && after.phase === 'training') {
    const kept = isAccepted(before).every((id) => isAccepted(after).includes(id));
    demand(kept, 'what is accepted stays accepted', said);
  }
}

/** One step may pass through several phases. */
function isReachable(from: RunState['phase'], to: RunState['phase']): boolean {
  const reached = new Set([from]);
  for (const phase of reached) for (const next of transitions[phase].next) reached.add(next);
  return reached.has(to);
}
