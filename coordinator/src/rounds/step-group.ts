/**
 * Steps of one run that are stored in one transaction (group commit): which ones may be, and what they write together.
 * The rows are those that the steps would write one after another.
 */
import type { EventContext, StepToSave } from './engine-store.js';
import type { Step } from './machine/effect.js';
import type { RunState } from './machine/state.js';
import type { StoredRun } from './material.js';
import { stepRows, type RowSources, type Settlement, type StepRows } from './step-rows.js';

/** Steps of one transaction at most: those who wait for an answer do not wait for any number of others. */
export const maxGroup = 64;

/** What a step may ask for without being the last of its group: rows that do not depend on the order of others. */
const plainEffects: ReadonlySet<string> = new Set(['settle', 'publish']);

/** Whether nothing more may be stored with this step: it enters another phase, try or round, or asks for more than plain rows. */
export function endsGroup(before: RunState, { state, effects }: Step): boolean {
  return (
    state.phase !== before.phase ||
    state.round !== before.round ||
    state.attempt !== before.attempt ||
    state.status !== before.status ||
    effects.some(({ kind }) => !plainEffects.has(kind))
  );
}

export interface GroupRow {
  readonly rows: StepRows;
  readonly context: EventContext;
}

/** The rows of each step, on the run that the step before it left. */
export function groupRows(before: StoredRun, steps: readonly StepToSave[], sources: RowSources): GroupRow[] {
  let run = before;
  return steps.map(({ result, context }) => {
    const rows = stepRows(run, result, context, sources);
    run = rows.run;
    return { rows, context };
  });
}

/** Settlements in their order; those of one kind and one moment that follow each other are one. */
export function mergedSettlements(group: readonly GroupRow[]): (Settlement & { readonly atMs: number })[] {
  const merged: (Settlement & { readonly atMs: number })[] = [];
  for (const { rows } of group) {
    for (const { agentIds, kinds } of rows.settlements) {
      const last = merged.at(-1);
      if (last !== undefined && last.atMs === rows.atMs && last.kinds.join() === kinds.join())
        merged[merged.length - 1] = { ...last, agentIds: [...last.agentIds, ...agentIds] };
      else merged.push({ agentIds, kinds, atMs: rows.atMs });
    }
  }
  return merged.filter(({ agentIds }) => agentIds.length > 0);
}

/** The record of each round as the last step has it. */
export function lastRounds(group: readonly GroupRow[]): StepRows['round'][] {
  return [...new Map(group.map(({ rows: { round } }) => [round.round, round])).values()];
}

export interface ReportRow {
  readonly report: NonNullable<EventContext['report']>;
  readonly update: NonNullable<StepRows['update']>;
  readonly atMs: number;
}

/** Reports in their order, in as many batches as it takes for none to name one update twice: a statement may write a row once. */
export function reportBatches(group: readonly GroupRow[]): ReportRow[][] {
  const batches: ReportRow[][] = [];
  let named = new Set<string>();
  for (const { rows, context } of group) {
    const { report } = context;
    if (report === undefined || rows.update === undefined) continue;
    const key = JSON.stringify([report.round, report.agentId, report.nonce]);
    const row = { report, update: rows.update, atMs: rows.atMs };
    const batch = batches.at(-1);
    if (batch === undefined || named.has(key)) {
      batches.push([row]);
      named = new Set([key]);
    } else {
      batch.push(row);
      named.add(key);
    }
  }
  return batches;
}
