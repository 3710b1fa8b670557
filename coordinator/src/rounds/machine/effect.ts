/**
 * What a step asks for, as data. `transactional` effects are rows, written in the transaction that stores the state;
 * the others go to the outbox in that transaction and are performed after it, as often as it takes:
 * each is idempotent, and its result comes back as an event.
 */
import type { ErrorDetails } from '@graft/core/error';

import type { Verdict } from '../rounds.js';
import type { Quarantine } from './policy/quarantine.js';
import type { Phase, RunState } from './state.js';

/** Rows for the instruction streams of agents. */
export type TransactionalEffect =
  | { readonly kind: 'sendTrain'; readonly agentIds: readonly string[]; readonly deadlineMs: number }
  | { readonly kind: 'sendEvaluate'; readonly agentIds: readonly string[]; readonly deadlineMs: number }
  /** Stop what the round asked for; also settles the instructions. */
  | {
      readonly kind: 'cancel';
      readonly agentIds: readonly string[];
      readonly reason: string;
      /** The round whose plan they work on, where that is not the round in hand. */
      readonly round?: number;
    }
  /** An instruction that is still awaited has a later deadline now. */
  | {
      readonly kind: 'postpone';
      readonly agentIds: readonly string[];
      readonly work: 'train' | 'evaluate';
      readonly deadlineMs: number;
    }
  /** The report to an instruction is in, or no longer wanted. */
  | { readonly kind: 'settle'; readonly agentIds: readonly string[]; readonly work: 'train' | 'evaluate' }
  /** Checkpoint, round record, audit row, and a release with its Install instructions where the gate let one pass. */
  | { readonly kind: 'commit'; readonly installAt: readonly string[] }
  /** An agent is not asked for the run's task for a time: a row for the runs that come, and one of the audit log. */
  | {
      readonly kind: 'quarantine';
      readonly agentId: string;
      readonly quarantine: Quarantine;
    }
  /** A row for those who watch the run. */
  | { readonly kind: 'publish'; readonly event: string; readonly data: ErrorDetails };

export type OutboxEffect = OfAttempt &
  (
    | { readonly kind: 'aggregate'; readonly agentIds: readonly string[] }
    | { readonly kind: 'quantize'; readonly agentIds: readonly string[] }
    | { readonly kind: 'evaluateCentral' }
    | { readonly kind: 'advance' }
  );

interface OfAttempt {
  readonly round: number;
  readonly attempt: number;
}

export type Effect = TransactionalEffect | OutboxEffect;

export interface Step {
  readonly state: RunState;
  readonly effects: readonly Effect[];
  /** The answer to an agent's report; absent for other events. */
  readonly verdict?: Verdict;
}

/** What a phase answers: a step, and the phase that the run enters with it where it leaves this one. */
export interface Outcome extends Step {
  readonly goto?: Phase;
}

const outboxKinds: ReadonlySet<Effect['kind']> = new Set([
  'aggregate',
  'quantize',
  'evaluateCentral',
  'advance',
] satisfies OutboxEffect['kind'][]);

export function isOutboxEffect(effect: Effect): effect is OutboxEffect {
  return outboxKinds.has(effect.kind);
}

export const acceptedVerdict: Verdict = { accepted: true, reason: '', message: '' };

export function refusedVerdict(reason: Verdict['reason'], message: string): Verdict {
  return { accepted: false, reason, message };
}
