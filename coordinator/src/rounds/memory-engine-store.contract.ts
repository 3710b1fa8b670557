/**
 * The engine's store in memory, for specs: like the database it outlives the engine, and it can be told to die at any call,
 * before or after the transaction, as a power cut does.
 */
import { GraftError } from '@graft/core/error';
import type { TaskSpec } from '@graft/models/pipeline/task-spec';
import type * as wire from '@graft/protos/messages';

import type { EngineStore, Lease, LibraryModel, ReportedUpdate, Saved, StepToSave } from './engine-store.js';
import type { OutboxEffect } from './machine/effect.js';
import { isOpen } from './machine/state.js';
import type { StoredRun } from './material.js';
import type { TraitsById } from './machine/event.js';
import type { Quarantine } from './machine/policy/quarantine.js';
import type { RoundRecord } from './machine/record.js';
import type { ReleaseRow } from './release.js';
import { stepRows, type InstructionKind, type RowSources } from './step-rows.js';

export interface StoredInstruction {
  readonly id: string;
  readonly agentId: string;
  readonly runId: string;
  readonly kind: InstructionKind;
  instruction: wire.Instruction;
  settled: boolean;
}

export interface MemoryEngineStore extends EngineStore {
  readonly rows: {
    readonly runs: ReadonlyMap<string, StoredLease & { readonly json: string }>;
    readonly outbox: { seq: number; runId: string; effect: OutboxEffect; done: boolean }[];
    readonly instructions: StoredInstruction[];
    readonly checkpoints: { runId: string; round: number; weights: string; fp16: string }[];
    readonly releases: (ReleaseRow & { runId: string })[];
    readonly records: Map<string, RoundRecord>;
    readonly events: { kind: string; data: Readonly<Record<string, unknown>> }[];
    readonly updates: { runId: string; round: number; agentId: string; accepted: boolean; nonce: string }[];
  };
  /** The same store as another process sees it, which takes leases in its own name. */
  as(owner: string): EngineStore;
  /** State of a run as a restart would find it. */
  stored(runId: string): Promise<StoredRun>;
  unsettled(agentId: string): Promise<wire.Instruction[]>;
  /** Runs that are stored, whoever owns them. */
  claimable(): Promise<readonly string[]>;
  /** Ends an agent's quarantines, as the operator does; false where it is in none. */
  release(agentId: string, atMs: number): boolean;
  /** True once it has died. */
  isDead(): boolean;
  /** The n-th save from now dies, before it wrote or after; undefined lives on. */
  dieAt(save: { readonly nth: number; readonly when: 'before' | 'after' } | undefined): void;
}

interface StoredLease {
  readonly fence: number;
  readonly owner?: string;
  readonly endsAtMs: number;
}

/** Of the repository too. */
const leaseMs = 30_000;

export interface MemoryContents {
  readonly tasks: Readonly<Record<string, TaskSpec>>;
  readonly models?: Readonly<Record<string, LibraryModel>>;
  readonly signingKeys: Readonly<Record<string, Uint8Array>>;
  readonly traits?: TraitsById;
}

/** @param nowMs the database's clock, by which leases end; without one it stands still */
export function memoryEngineStore(
  contents: MemoryContents,
  sources: RowSources,
  nowMs: () => number = () => 0,
): MemoryEngineStore {
  const runs = new Map<string, StoredLease & { readonly json: string }>();
  const outbox: { seq: number; runId: string; effect: OutboxEffect; done: boolean }[] = [];
  const updates: (ReportedUpdate & { runId: string; round: number; agentId: string; accepted: boolean })[] = [];
  const rows: MemoryEngineStore['rows'] = {
    runs,
    outbox,
    instructions: [],
    checkpoints: [],
    releases: [],
    records: new Map(),
    events: [],
    updates,
  };
  const quarantines = new Map<string, Record<string, Quarantine>>();
  let death: { nth: number; when: 'before' | 'after' } | undefined;

  function checkDeath(when: 'before' | 'after'): void {
    if (death === undefined || death.when !== when) return;
    death = { ...death, nth: death.nth - 1 };
    if (death.nth < 0) throw new Error('power cut');
  }

  function settle(runId: string, agentIds: readonly string[], kinds: readonly string[]): void {
    for (const row of rows.instructions) {
      if (row.runId === runId && agentIds.includes(row.agentId) && kinds.includes(row.kind)) row.settled = true;
    }
  }

  function writeUpdate(row: (typeof updates)[number]): void {
    const at = updates.findIndex(
      (known) => known.runId === row.runId && known.round === row.round && known.nonce === row.nonce,
    );
    if (at < 0) updates.push(row);
    else if (!(updates[at]?.accepted ?? false)) updates[at] = row;
  }

  function save(
    lease: Lease,
    before: StoredRun,
    { result, context }: StepToSave,
  ): Awaited<ReturnType<EngineStore['save']>> {
    const { runId, fence } = lease;
    const stored = runs.get(runId);
    if (stored?.fence !== fence) throw new GraftError('LEASE_LOST', `run ${runId} has another owner`);
    const written = stepRows(before, result, context, sources);
    runs.set(runId, { ...stored, json: JSON.stringify(written.run) });
    for (const row of outbox) if (row.seq === context.doneSeq) row.done = true;
    const fresh = written.outbox.map((effect) => ({ seq: outbox.length + 1, runId, effect, done: false }));
    for (const row of fresh) outbox.push({ ...row, seq: outbox.length + 1 });
    for (const { agentIds, kinds } of written.settlements) settle(runId, agentIds, kinds);
    for (const { agentId, kind, instruction } of written.instructions) {
      rows.instructions.push({ id: instruction.id, agentId, runId, kind, instruction, settled: false });
    }
    for (const { agentIds, kind, deadlineMs } of written.postponements) {
      for (const row of rows.instructions) {
        const { instruction } = row;
        if (row.settled || row.kind !== kind || !agentIds.includes(row.agentId)) continue;
        if (instruction.kind === 'train')
          row.instruction = { ...instruction, train: { ...instruction.train, deadlineMs } };
        if (instruction.kind === 'evaluate') {
          row.instruction = { ...instruction, evaluate: { ...instruction.evaluate, deadlineMs } };
        }
      }
    }
    rows.records.set(`${runId}/${written.round.round}`, written.round.record);
    const { report } = context;
    if (written.update !== undefined && report !== undefined) writeUpdate({ ...report, runId, ...written.update });
    const { candidate } = written.run.machine;
    if (written.commit !== undefined && candidate !== undefined) {
      rows.checkpoints.push({
        runId,
        round: candidate.round,
        weights: candidate.weights.hash,
        fp16: candidate.fp16.hash,
      });
      if (written.commit.release !== undefined) rows.releases.push({ ...written.commit.release, runId });
    }
    for (const { agentId, quarantine } of written.quarantines) {
      const { taskId } = written.run.machine.plan;
      quarantines.set(agentId, { ...quarantines.get(agentId), [taskId]: quarantine });
    }
    rows.events.push(...written.events);
    const wake = written.instructions.map(({ agentId }) => agentId);
    return { run: written.run, outbox: outbox.slice(outbox.length - fresh.length), wake };
  }

  const parse = (json: string): StoredRun => JSON.parse(json) as StoredRun;
  const leases = (owner: string): Pick<EngineStore, 'create' | 'claimAll' | 'renew' | 'giveBack'> => ({
    create: async (run) => {
      const { runId } = run.machine.plan;
      runs.set(runId, { json: JSON.stringify(run), fence: 1, owner, endsAtMs: nowMs() + leaseMs });
      return { runId, fence: 1 };
    },
    claimAll: async () =>
      [...runs].flatMap(([runId, stored]) => {
        const run = parse(stored.json);
        const isFree = stored.owner === undefined || stored.owner === owner || stored.endsAtMs < nowMs();
        if (!isOpen(run.machine) || !isFree) return [];
        const fence = stored.fence + 1;
        runs.set(runId, { json: stored.json, fence, owner, endsAtMs: nowMs() + leaseMs });
        return [{ run, lease: { runId, fence } }];
      }),
    renew: async (held) =>
      held.filter(({ runId, fence }) => {
        const stored = runs.get(runId);
        if (stored?.fence !== fence) return true;
        runs.set(runId, { ...stored, endsAtMs: nowMs() + leaseMs });
        return false;
      }),
    giveBack: async (held) => {
      for (const { runId, fence } of held) {
        const stored = runs.get(runId);
        if (stored?.fence === fence) runs.set(runId, { json: stored.json, fence, endsAtMs: 0 });
      }
    },
  });
  const store: MemoryEngineStore = {
    ...leases('test'),
    as: (owner) => ({ ...store, ...leases(owner) }),
    rows,
    stored: async (runId) => parse(runs.get(runId)?.json ?? 'null'),
    unsettled: async (agentId) =>
      rows.instructions.filter((row) => row.agentId === agentId && !row.settled).map(({ instruction }) => instruction),
    claimable: async () => [...runs.keys()],
    isDead: () => death !== undefined && death.nth < 0,
    dieAt: (next) => (death = next),
    task: async (id) => contents.tasks[id],
    model: async (name) => contents.models?.[name],
    signingKey: async (agentId) => contents.signingKeys[agentId],
    traits: async (agentIds) =>
      Object.fromEntries(
        agentIds.flatMap((id) => {
          const [said, shut] = [contents.traits?.[id], quarantines.get(id)];
          return said || shut ? [[id, { ...said, ...(shut && { quarantines: shut }) }]] : [];
        }),
      ),
    release: (agentId, atMs) => {
      const own = Object.entries(quarantines.get(agentId) ?? {});
      const standing = own.filter(([, { releasedAtMs, untilMs }]) => releasedAtMs === undefined && atMs < untilMs);
      for (const [taskId, quarantine] of standing)
        quarantines.set(agentId, { ...quarantines.get(agentId), [taskId]: { ...quarantine, releasedAtMs: atMs } });
      return standing.length > 0;
    },
    lastRelease: async () => undefined,
    save: async (lease, before, steps) => {
      checkDeath('before');
      let saved: Saved = { run: before, outbox: [], wake: [] };
      for (const each of steps) {
        const { run, outbox: added, wake } = save(lease, saved.run, each);
        saved = { run, outbox: [...saved.outbox, ...added], wake: [...saved.wake, ...wake] };
      }
      checkDeath('after');
      return saved;
    },
    load: async ({ runId, fence }) => {
      const stored = runs.get(runId);
      if (stored?.fence !== fence) throw new GraftError('LEASE_LOST', `run ${runId} has another owner`);
      return parse(stored.json);
    },
    undone: async (runId) => outbox.filter((row) => row.runId === runId && !row.done),
    runIs: async (runId) => {
      const stored = runs.get(runId);
      return stored && (isOpen(parse(stored.json).machine) ? 'open' : 'over');
    },
    updates: async (runId, round, nonces) =>
      updates.filter((row) => row.runId === runId && row.round === round && row.accepted && nonces.includes(row.nonce)),
    wasAccepted: async (of) =>
      updates.some(
        (row) =>
          row.accepted &&
          row.runId === of.runId &&
          row.round === of.round &&
          row.agentId === of.agentId &&
          row.nonce === of.nonce,
      ),
    instruction: async (id, agentId) => rows.instructions.find((row) => row.id === id && row.agentId === agentId),
    settleInstall: async (id) => {
      for (const row of rows.instructions) if (row.id === id) row.settled = true;
    },
  };
  return store;
}
