/**
 * The table of legal (phase, event) pairs. What is not in it changes nothing: results of an abandoned try,
 * timers that were overtaken. Reports of agents are in every row, because every report is answered.
 */
import { abandoned } from '../phases/abandoned.js';
import { aggregating } from '../phases/aggregating.js';
import { committed } from '../phases/committed.js';
import { evaluating } from '../phases/evaluating.js';
import { quantizing } from '../phases/quantizing.js';
import { selecting } from '../phases/selecting.js';
import { training } from '../phases/training.js';
import type { Outcome } from './effect.js';
import type { EventKind, EventOf } from './event.js';
import { lateEvaluation, lateFailure, lateUpdate } from './reports.js';
import type { Phase, RunState } from './state.js';

type Handlers = { readonly [K in EventKind]?: (state: RunState, event: EventOf<K>) => Outcome };

export interface PhaseRow {
  /** Phases that may follow. */
  readonly next: readonly Phase[];
  /** What happens on entering; the phase's clock has just started and there is no deadline yet. */
  readonly enter: (state: RunState, atMs: number) => Outcome;
  readonly on: Handlers;
}

const reports = {
  updateReceived: lateUpdate,
  failureReported: lateFailure,
  evaluationReported: lateEvaluation,
};

export const firstPhase: Phase = 'selecting';

export const transitions: Readonly<Record<Phase, PhaseRow>> = {
  selecting: { next: ['training'], enter: selecting.enter, on: { ...reports, ...selecting.on } },
  training: { next: ['aggregating', 'abandoned'], enter: training.enter, on: { ...reports, ...training.on } },
  aggregating: { next: ['quantizing', 'abandoned'], enter: aggregating.enter, on: { ...reports, ...aggregating.on } },
  quantizing: { next: ['evaluating'], enter: quantizing.enter, on: { ...reports, ...quantizing.on } },
  evaluating: { next: ['committed'], enter: evaluating.enter, on: { ...reports, ...evaluating.on } },
  committed: { next: ['selecting'], enter: committed.enter, on: { ...reports, ...committed.on } },
  abandoned: { next: ['selecting'], enter: abandoned.enter, on: { ...reports, ...abandoned.on } },
};

/** Phases that no chain of steps from the first one reaches. */
export function unreachablePhases(table: Readonly<Record<Phase, Pick<PhaseRow, 'next'>>>): Phase[] {
  const reached = new Set<Phase>([firstPhase]);
  for (const phase of reached) for (const next of table[phase].next) reached.add(next);
  return (Object.keys(table) as Phase[]).filter((phase) => !reached.has(phase));
}

const unreachable = unreachablePhases(transitions);
if (unreachable.length > 0) throw new Error(`phases that nothing leads to: ${unreachable.join(', ')}`);
