/** All that can happen to a run. Time comes with each event; nothing here reads a clock. */
import type { Part } from '@graft/models/pipeline/pipeline';

import type { RefusalReason } from '../rounds.js';
import type { Quarantine } from './policy/quarantine.js';
import type {
  AggregationReport,
  CentralEvaluation,
  Checkpoint,
  QuantizedCandidate,
  SiteMeasures,
  UpdateSummary,
} from './state.js';

export interface Refusal {
  readonly reason: RefusalReason;
  readonly message: string;
}

interface At {
  /** Milliseconds since the Unix epoch. */
  readonly atMs: number;
}

/** Which try at which round a result belongs to: a result of another one is stale and changes nothing. */
interface OfAttempt extends At {
  readonly round: number;
  readonly attempt: number;
}

interface OfAgent extends At {
  readonly agentId: string;
}

/** What a site and its operator say of an agent. */
export interface AgentTraits {
  /** For people. */
  readonly name?: string;
  readonly tags?: readonly string[];
  /** Names of tasks that the site takes no part in. */
  readonly declinedTasks?: readonly string[];
  /** By id of the task. */
  readonly quarantines?: Readonly<Record<string, Quarantine>>;
}

/** What is known of agents; whoever is missing stays as it was known. */
export type TraitsById = Readonly<Record<string, AgentTraits>>;

/** Work that an effect names and that may fail. */
export type Work = 'aggregate' | 'quantize' | 'evaluateCentral';

export type RunEvent =
  /** A new run, with the agents connected at this moment. */
  | (At & { readonly kind: 'started'; readonly connected: readonly string[]; readonly traits?: TraitsById })
  /** The coordinator came back after a stop or a crash. */
  | (At & { readonly kind: 'restarted'; readonly connected: readonly string[]; readonly traits?: TraitsById })
  /** An agent is connected; comes again where its traits have changed. */
  | (OfAgent & { readonly kind: 'agentConnected'; readonly traits?: AgentTraits })
  | (OfAgent & { readonly kind: 'agentLost' })
  /** Its site takes no work now, for a reason that people may read; `agentConnected` ends it. */
  | (OfAgent & { readonly kind: 'agentPaused'; readonly reason: string })
  /** The first heartbeat of an agent in this round. */
  | (OfAgent & { readonly kind: 'progressed'; readonly round: number })
  /** An update after admission: `refusal` is absent where it passed. */
  | (OfAgent & {
      readonly kind: 'updateReceived';
      readonly round: number;
      readonly update: UpdateSummary;
      readonly refusal?: Refusal;
    })
  | (OfAgent & {
      readonly kind: 'failureReported';
      readonly round: number;
      readonly code: string;
      readonly message: string;
    })
  | (OfAgent & { readonly kind: 'evaluationReported'; readonly round: number; readonly measures: SiteMeasures })
  /** A deadline of the state has come; `active` are the agents that made progress lately. */
  | (At & { readonly kind: 'timePassed'; readonly active: readonly string[] })
  | (OfAttempt & {
      readonly kind: 'aggregated';
      readonly candidate: Checkpoint;
      readonly report: AggregationReport;
    })
  | (OfAttempt & { readonly kind: 'quantized'; readonly result: QuantizedCandidate; readonly frozenTrunk?: Part })
  | (OfAttempt & { readonly kind: 'evaluatedCentrally'; readonly result: CentralEvaluation })
  | (OfAttempt & { readonly kind: 'workFailed'; readonly work: Work; readonly message: string })
  /** A commit is durable: go on with the next round. */
  | (OfAttempt & { readonly kind: 'advanced' })
  | (At & { readonly kind: 'stopRequested'; readonly reason: string });

export type EventKind = RunEvent['kind'];
export type EventOf<K extends EventKind> = Extract<RunEvent, { readonly kind: K }>;
