/**
 * What a step writes, as rows: everything that one transaction stores with the new state. Pure but for what it is given:
 * fresh ids, a fresh round key and the signature under a release.
 */
import type * as wire from '@graft/protos/messages';

import type { EventContext } from './engine-store.js';
import { isOutboxEffect, type Effect, type OutboxEffect, type Step } from './machine/effect.js';
import type { Transferred } from './machine/record.js';
import { recordOf, type RoundRecord } from './machine/record.js';
import type { RunState } from './machine/state.js';
import type { StoredRoundKey, StoredRun } from './material.js';
import { evaluatePlan, trainPlan, type RoundKey } from './plans.js';
import { releaseRow, type ReleaseRow } from './release.js';

export type InstructionKind = 'train' | 'evaluate' | 'install' | 'cancel';

export interface InstructionRow {
  readonly agentId: string;
  readonly round: number;
  readonly kind: InstructionKind;
  readonly instruction: wire.Instruction;
}

/** Unsettled instructions of this run that are no longer wanted: applied before new ones are inserted. */
export interface Settlement {
  readonly agentIds: readonly string[];
  readonly kinds: readonly InstructionKind[];
}

export interface Postponement {
  readonly agentIds: readonly string[];
  readonly kind: 'train' | 'evaluate';
  readonly deadlineMs: number;
}

export interface StepRows {
  readonly run: StoredRun;
  readonly atMs: number;
  readonly outbox: readonly OutboxEffect[];
  readonly settlements: readonly Settlement[];
  readonly instructions: readonly InstructionRow[];
  readonly postponements: readonly Postponement[];
  readonly round: {
    readonly round: number;
    readonly phase: string;
    readonly startedAtMs: number;
    readonly finishedAtMs?: number;
    readonly record: RoundRecord;
  };
  readonly update?: { readonly accepted: boolean; readonly reason: string };
  /** The commit of a round; its release where the gate let one pass. */
  readonly commit?: { readonly release?: ReleaseRow };
  /** Agents that are not asked for the run's task any more. */
  readonly quarantines: readonly Extract<Effect, { readonly kind: 'quarantine' }>[];
  readonly events: readonly { readonly kind: string; readonly data: Readonly<Record<string, unknown>> }[];
}

export interface RowSources {
  readonly newId: () => string;
  readonly newRoundKey: (of: { readonly runId: string; readonly round: number }) => StoredRoundKey;
  readonly publicRoundKey: (stored: StoredRoundKey) => RoundKey;
  /** The coordinator's identity signs. */
  readonly signRelease: (manifest: Uint8Array) => Uint8Array;
}

export function stepRows(before: StoredRun, result: Step, context: EventContext, sources: RowSources): StepRows {
  const { state } = result;
  const run = withKey(
    { ...before, machine: state, transferred: countBytes(before, state, context.transferred ?? {}) },
    result,
    sources,
  );
  const inserted = result.effects.flatMap((effect) => instructionRows(run, effect, sources));
  const committed = result.effects.find((effect) => effect.kind === 'commit');
  const release = committed && releaseRow(run, sources);
  const installs =
    release === undefined || committed === undefined ? [] : installRows(committed.installAt, release, state, sources);
  const verdict = context.report === undefined ? undefined : result.verdict;
  const isOver = state.status === 'completed' || state.status === 'failed' || state.status === 'stopped';
  return {
    run,
    atMs: state.atMs,
    outbox: result.effects.filter(isOutboxEffect),
    settlements: [
      ...result.effects.flatMap(settlementsOf),
      // The commit of the last round leaves nothing to cancel; whatever is unsettled is not wanted any more.
      ...(state.status === 'completed'
        ? [{ agentIds: Object.keys(state.agents), kinds: ['train', 'evaluate', 'cancel'] as const }]
        : []),
      ...(installs.length > 0
        ? [{ agentIds: installs.map(({ agentId }) => agentId), kinds: ['install'] as const }]
        : []),
    ],
    instructions: [...inserted, ...installs],
    postponements: result.effects.flatMap((effect) =>
      effect.kind === 'postpone'
        ? [{ agentIds: effect.agentIds, kind: effect.work, deadlineMs: Math.ceil(effect.deadlineMs) }]
        : [],
    ),
    round: {
      round: state.round,
      phase: state.phase,
      startedAtMs: state.roundStartedAtMs,
      ...((state.phase === 'committed' || isOver) && { finishedAtMs: state.phaseStartedAtMs }),
      record: recordOf(state, run.transferred.agents),
    },
    ...(verdict && { update: { accepted: verdict.accepted, reason: verdict.reason } }),
    ...(committed && { commit: { ...(release && { release }) } }),
    quarantines: result.effects.filter((effect) => effect.kind === 'quarantine'),
    events: result.effects.flatMap((effect) =>
      effect.kind === 'publish' ? [{ kind: effect.event, data: effect.data }] : [],
    ),
  };
}

/**
 * One key pair a round, made with its first plan: a second try at the round takes updates of the first.
 * Keys of earlier rounds are kept for as long as an agent works on a plan that names them, or its update is not folded.
 */
function withKey(run: StoredRun, { effects }: Step, { newRoundKey }: RowSources): StoredRun {
  const { plan, round, members, carried } = run.machine;
  if (run.roundKey?.round === round || !effects.some(({ kind }) => kind === 'sendTrain')) return run;
  const { roundKey, earlierKeys = [], ...rest } = run;
  const wanted = new Set([...Object.values(members), ...Object.values(carried)].map((member) => member.round));
  const kept = [...earlierKeys, ...(roundKey ? [roundKey] : [])].filter((key) => wanted.has(key.round));
  return {
    ...rest,
    roundKey: newRoundKey({ runId: plan.runId, round }),
    ...(kept.length > 0 && { earlierKeys: kept }),
  };
}

/** Adds the bytes of each agent since the last step to the round in hand. */
function countBytes(before: StoredRun, { round }: RunState, since: Transferred): StoredRun['transferred'] {
  const agents: Record<string, { up: number; down: number }> =
    before.transferred.round === round ? { ...before.transferred.agents } : {};
  for (const [id, { up, down }] of Object.entries(since)) {
    const known = agents[id] ?? { up: 0, down: 0 };
    agents[id] = { up: known.up + up, down: known.down + down };
  }
  return { round, agents };
}

function instructionRows(run: StoredRun, effect: Effect, { newId, publicRoundKey }: RowSources): InstructionRow[] {
  const { machine, material, roundKey } = run;
  const { round } = machine;
  const { runId, taskName = '', priority = 0 } = machine.plan;
  const ofTask = { task: taskName, priority };
  if (effect.kind === 'sendTrain' && roundKey !== undefined) {
    const key = publicRoundKey(roundKey);
    return effect.agentIds.map((agentId) => {
      const train = trainPlan(machine, material, key, { agentId, deadlineMs: effect.deadlineMs });
      return { agentId, round, kind: 'train', instruction: { id: newId(), ...ofTask, kind: 'train', train } };
    });
  }
  if (effect.kind === 'sendEvaluate') {
    const evaluate = evaluatePlan(machine, material, effect.deadlineMs);
    if (evaluate === undefined) return [];
    return effect.agentIds.map((agentId) => ({
      agentId,
      round,
      kind: 'evaluate',
      instruction: { id: newId(), ...ofTask, kind: 'evaluate', evaluate },
    }));
  }
  if (effect.kind === 'cancel') {
    // Who is away learns on its return that nothing is asked of it any more.
    const of = effect.round ?? round;
    const present = effect.agentIds.filter((id) => machine.agents[id]?.connected === true);
    return present.map((agentId) => ({
      agentId,
      round,
      kind: 'cancel',
      instruction: { id: newId(), kind: 'cancel', cancel: { runId, round: of, reason: effect.reason } },
    }));
  }
  return [];
}

function installRows(
  agentIds: readonly string[],
  { manifest, signature }: ReleaseRow,
  { round }: RunState,
  { newId }: RowSources,
): InstructionRow[] {
  return agentIds.map((agentId) => ({
    agentId,
    round,
    kind: 'install',
    instruction: { id: newId(), kind: 'install', install: { manifest, signature } },
  }));
}

function settlementsOf(effect: Effect): Settlement[] {
  switch (effect.kind) {
    case 'sendTrain':
      return [{ agentIds: effect.agentIds, kinds: ['train', 'evaluate', 'cancel'] }];
    case 'cancel':
      return [{ agentIds: effect.agentIds, kinds: ['train', 'evaluate'] }];
    case 'settle':
      return [{ agentIds: effect.agentIds, kinds: [effect.work] }];
    default:
      return [];
  }
}
