/** What the admin API answers, as far as this command reads it. */
import type { ModelCard } from '@graft/models/pipeline/model-card';
import type { BlobRef } from '@graft/models/pipeline/pipeline';

export interface ModelView {
  readonly id: string;
  readonly name: string;
  readonly card: ModelCard;
  readonly graph: BlobRef;
  readonly weights: BlobRef;
  readonly createdAtMs: number;
}

export interface TaskView {
  readonly id: string;
  readonly name: string;
  readonly kind: 'fit' | 'probe';
  readonly createdAtMs: number;
}

export type RunStatus = 'running' | 'waiting' | 'completed' | 'failed' | 'stopped';

export interface RunView {
  readonly id: string;
  readonly taskId: string;
  readonly taskName: string;
  readonly status: RunStatus;
  /** The round in hand, or the last. */
  readonly round: number;
  readonly rounds: number;
  readonly phase: string;
  /** Why it waits, failed or was stopped; empty while it runs. */
  readonly reason: string;
  readonly createdAtMs: number;
  readonly finishedAtMs?: number;
  /** Which try at the round it is, of how many. */
  readonly attempt: number;
  readonly attempts: number;
  readonly phaseStartedAtMs: number;
  /** Absent where the run is over. */
  readonly waiting?: { readonly for: string; readonly endedBy: string; readonly untilMs?: number };
  readonly cohort: { readonly min: number; readonly goal: number; readonly max: number };
  readonly connected: number;
  /** Connected agents that are not asked, and why; absent where there are none. */
  readonly quarantined?: readonly {
    readonly agentId: string;
    readonly name: string;
    readonly reason: string;
    readonly untilMs: number;
  }[];
}

export interface PrecisionView {
  readonly accuracy: number;
  readonly loss: number;
  readonly worstSiteAccuracy?: number;
  readonly worstSite?: string;
  readonly latencyP50Ms?: number;
  readonly latencyP95Ms?: number;
  readonly sizeBytes?: number;
}

export interface GateView {
  readonly passed: boolean;
  readonly precision: 'fp32' | 'int8';
  readonly checks: readonly { readonly name: string; readonly passed: boolean; readonly message: string }[];
  readonly fp32?: PrecisionView;
  readonly int8?: PrecisionView;
  readonly kl?: number;
}

export interface RoundAgentView {
  readonly state: string;
  readonly reason?: string;
  readonly message?: string;
  readonly exampleCount?: number;
  readonly loss?: number;
  readonly initialLoss?: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly seconds?: number;
  readonly trainSeconds?: number;
  readonly featureSeconds?: number;
  readonly fetchSeconds?: number;
  readonly sealSeconds?: number;
  readonly attempt: number;
  /** Rounds between the base of the update and the one it was folded into. */
  readonly staleness?: number;
  /** What came of its evaluation; an object with `failed` where that came to nothing. */
  readonly evaluation?: object;
}

type OperatorCounts = Readonly<Record<string, number>>;

export interface RoundView {
  readonly round: number;
  readonly phase: string;
  readonly startedAtMs: number;
  readonly finishedAtMs?: number;
  readonly record: {
    readonly attempt: number;
    readonly agents: Readonly<Record<string, RoundAgentView>>;
    readonly updates: {
      readonly accepted: number;
      readonly refused: number;
      readonly failed: number;
      readonly lost: number;
      /** Absent in records of earlier versions. */
      readonly paused?: number;
      readonly stragglers: number;
    };
    readonly refusals: Readonly<Record<string, number>>;
    readonly abandoned: readonly { readonly attempt: number; readonly reason: string }[];
    readonly trainingLoss?: number;
    readonly gate?: GateView;
    readonly quantization?: {
      readonly none?: string;
      readonly operators?: { readonly fp32: OperatorCounts; readonly int8: OperatorCounts };
    };
    readonly bytesUp: number;
    readonly bytesDown: number;
    readonly secondsByPhase: Readonly<Record<string, number>>;
  };
}

export interface RoundDetail extends RoundView {
  readonly agents: readonly {
    readonly id: string;
    readonly name: string;
    readonly connected: boolean;
    readonly activity?: string;
    readonly progress?: number;
    readonly loss?: number;
  }[];
}

export interface AgentView {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly connected: boolean;
  /** Why it takes no work; absent where it does. */
  readonly paused?: string;
  /** When it comes back, where it was sent away because it was not needed. */
  readonly expectedAtMs?: number;
  readonly tags: readonly string[];
  /** Tasks that it is not asked for; absent where there are none. */
  readonly quarantines?: readonly {
    readonly task: string;
    readonly reason: string;
    readonly sinceMs: number;
    readonly untilMs: number;
  }[];
  readonly lastSeenAtMs?: number;
  readonly agentVersion?: string;
}

export interface InviteView {
  readonly id: string;
  readonly name: string;
  readonly token: string;
  readonly server: string;
  readonly fingerprint: string;
  readonly command: string;
  readonly expiresAtMs: number;
}

export interface ReleaseView {
  readonly id: string;
  readonly taskId: string;
  readonly runId: string;
  readonly round: number;
  readonly precision: 'fp32' | 'int8';
  readonly measures: GateView;
  readonly createdAtMs: number;
}
