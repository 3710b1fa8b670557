/** The rows of steps, written in the transaction that stores its state. */
import type { Transaction } from 'kysely';

import { decodeInstruction, encodeInstruction } from '@graft/protos/message-codec.adapter';

import { appendAudit } from '../store/audit.repository.js';
import type { Database } from '../store/schema.js';
import type { OutboxRow } from './engine-store.js';
import { storeQuarantine } from './quarantine.repository.js';
import { lastRounds, mergedSettlements, reportBatches, type GroupRow, type ReportRow } from './step-group.js';
import type { Postponement, Settlement, StepRows } from './step-rows.js';

type Db = Transaction<Database>;

/** Answers the outbox rows that were added, with their numbers. */
export async function writeSteps(db: Db, group: readonly GroupRow[]): Promise<OutboxRow[]> {
  const runId = group[0]?.rows.run.machine.plan.runId;
  if (runId === undefined) return [];
  for (const { rows, context } of group) {
    if (context.doneSeq === undefined) continue;
    await db.updateTable('outbox').set({ done_at_ms: rows.atMs }).where('seq', '=', context.doneSeq).execute();
  }
  for (const settlement of mergedSettlements(group)) await settle(db, runId, settlement);
  for (const { rows } of group) {
    await insertInstructions(db, runId, rows);
    for (const postponement of rows.postponements) await postpone(db, runId, postponement);
  }
  for (const round of lastRounds(group)) await writeRound(db, runId, round);
  for (const batch of reportBatches(group)) await writeUpdates(db, runId, batch);
  for (const { rows } of group) if (rows.commit !== undefined) await writeCommit(db, rows);
  for (const { rows } of group) {
    for (const quarantine of rows.quarantines) await storeQuarantine(db, rows.run.machine.plan, quarantine, rows.atMs);
  }
  await writeEvents(db, runId, group);
  const added: OutboxRow[] = [];
  for (const { rows } of group) added.push(...(await insertOutbox(db, runId, rows)));
  return added;
}

async function writeEvents(db: Db, runId: string, group: readonly GroupRow[]): Promise<void> {
  const values = group.flatMap(({ rows }) =>
    rows.events.map(({ kind, data }) => ({ at_ms: rows.atMs, kind, run_id: runId, data: JSON.stringify(data) })),
  );
  if (values.length > 0) await db.insertInto('events').values(values).execute();
}

async function insertOutbox(db: Db, runId: string, { outbox, atMs }: StepRows): Promise<OutboxRow[]> {
  const added: OutboxRow[] = [];
  for (const effect of outbox) {
    const row = { run_id: runId, effect: JSON.stringify(effect), created_at_ms: atMs };
    const { seq } = await db.insertInto('outbox').values(row).returning('seq').executeTakeFirstOrThrow();
    added.push({ seq, effect });
  }
  return added;
}

async function settle(
  db: Db,
  runId: string,
  { agentIds, kinds, atMs }: Settlement & { readonly atMs: number },
): Promise<void> {
  await db
    .updateTable('instructions')
    .set({ settled_at_ms: atMs })
    .where('run_id', '=', runId)
    .where('agent_id', 'in', [...agentIds])
    .where('kind', 'in', [...kinds])
    .where('settled_at_ms', 'is', null)
    .execute();
}

async function insertInstructions(db: Db, runId: string, { instructions, atMs }: StepRows): Promise<void> {
  if (instructions.length === 0) return;
  const values = instructions.map(({ agentId, round, kind, instruction }) => ({
    id: instruction.id,
    agent_id: agentId,
    run_id: runId,
    round,
    kind,
    payload: Buffer.from(encodeInstruction(instruction)),
    created_at_ms: atMs,
  }));
  await db.insertInto('instructions').values(values).execute();
}

/** A deadline that moved: what an agent is told when it asks again. */
async function postpone(db: Db, runId: string, { agentIds, kind, deadlineMs }: Postponement): Promise<void> {
  if (agentIds.length === 0) return;
  const rows = await db
    .selectFrom('instructions')
    .select(['id', 'payload'])
    .where('run_id', '=', runId)
    .where('kind', '=', kind)
    .where('agent_id', 'in', [...agentIds])
    .where('settled_at_ms', 'is', null)
    .execute();
  for (const { id, payload } of rows) {
    const instruction = decodeInstruction(payload);
    const moved =
      instruction.kind === 'train'
        ? { ...instruction, train: { ...instruction.train, deadlineMs } }
        : instruction.kind === 'evaluate'
          ? { ...instruction, evaluate: { ...instruction.evaluate, deadlineMs } }
          : instruction;
    await db
      .updateTable('instructions')
      .set({ payload: Buffer.from(encodeInstruction(moved)) })
      .where('id', '=', id)
      .execute();
  }
}

async function writeRound(db: Db, runId: string, round: StepRows['round']): Promise<void> {
  const values = {
    phase: round.phase,
    started_at_ms: Math.trunc(round.startedAtMs),
    finished_at_ms: round.finishedAtMs === undefined ? null : Math.trunc(round.finishedAtMs),
    record: JSON.stringify(round.record),
  };
  await db
    .insertInto('rounds')
    .values({ run_id: runId, round: round.round, ...values })
    .onConflict((on) => on.columns(['run_id', 'round']).doUpdateSet(values))
    .execute();
}

/** @param batch at least one report, and none twice */
async function writeUpdates(db: Db, runId: string, batch: readonly ReportRow[]): Promise<void> {
  await db
    .insertInto('updates')
    .values(
      batch.map(({ report, update, atMs }) => ({
        run_id: runId,
        round: report.round,
        agent_id: report.agentId,
        nonce: report.nonce,
        accepted: update.accepted,
        reason: update.reason,
        manifest: Buffer.from(report.manifest),
        ciphertext: JSON.stringify(report.ciphertext),
        example_count: report.exampleCount,
        received_at_ms: atMs,
      })),
    )
    // An update that came late to one try of its round may come in time for the next; what was accepted once stays so.
    .onConflict((on) =>
      on
        .columns(['run_id', 'round', 'agent_id', 'nonce'])
        .doUpdateSet((is) => ({ accepted: is.ref('excluded.accepted'), reason: is.ref('excluded.reason') }))
        .where('updates.accepted', '=', false),
    )
    .execute();
}

/** Checkpoint, release and audit row of a committed round. The primary keys refuse a second commit. */
async function writeCommit(db: Db, { run, commit, atMs }: StepRows): Promise<void> {
  const { plan, candidate, round, decision } = run.machine;
  if (candidate !== undefined) {
    await db
      .insertInto('checkpoints')
      .values({
        run_id: plan.runId,
        round: candidate.round,
        weights: JSON.stringify(candidate.weights),
        fp16: JSON.stringify(candidate.fp16),
        created_at_ms: atMs,
      })
      .execute();
  }
  const release = commit?.release;
  if (release !== undefined) {
    await db
      .insertInto('releases')
      .values({
        id: release.id,
        task_id: plan.taskId,
        run_id: plan.runId,
        round,
        precision: release.precision,
        manifest: Buffer.from(release.manifest),
        signature: Buffer.from(release.signature),
        measures: JSON.stringify(decision ?? {}),
        created_at_ms: atMs,
      })
      .execute();
  }
  const details = {
    runId: plan.runId,
    round,
    ...(candidate && { checkpoint: candidate.weights.hash }),
    ...(release && { release: release.id }),
  };
  await appendAudit(db, { atMs, action: 'round.committed', details });
}
