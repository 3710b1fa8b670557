/**
 * The state of a run: plain JSON, stored whole after every event. Everything that decides what happens next is in here;
 * weights and updates are not, they are blobs and rows that this names.
 */
import type { BlobRef, Part, Pipeline } from '@graft/models/pipeline/pipeline';
import type { Deadline, RoundPolicy, Selection } from '@graft/models/pipeline/schedule/round-policy';
import type { TaskTransfers } from '@graft/models/pipeline/task-spec';

import type { PrecisionMeasures, RefusalReason } from '../rounds.js';
import type { GateDecision } from './gate.js';
import type { SelectionMemory } from './policy/memory.js';
import type { Conduct, Quarantine } from './policy/quarantine.js';

export const phases = [
  'selecting',
  'training',
  'aggregating',
  'quantizing',
  'evaluating',
  'committed',
  'abandoned',
] as const;
export type Phase = (typeof phases)[number];

/** running and waiting go on; the others are over. */
export type RunStatus = 'running' | 'waiting' | 'completed' | 'failed' | 'stopped';

/** What a run was started with; never changes. */
export interface RunPlan {
  readonly runId: string;
  readonly taskId: string;
  /** For sites that have settings of their own for a task; absent in runs of before there were such. */
  readonly taskName?: string;
  /** Of its work at an agent that has other work waiting: higher goes first. */
  readonly priority?: number;
  /** 'probe' rehearses transfer and aggregation: it has no graph, so nothing to quantize, evaluate or release. */
  readonly kind: 'fit' | 'probe';
  readonly rounds: number;
  readonly seed: number;
  /** A round needs `min` accepted updates, closes at `goal`, and asks at most `max` agents. */
  readonly cohort: { readonly min: number; readonly goal: number; readonly max: number };
  /** Training stays open `minMs` even when the goal is reached, and closes at `maxMs`. */
  readonly window: { readonly minMs: number; readonly maxMs: number };
  /** How long selecting waits for the goal once the minimum is connected. */
  readonly gatherMs: number;
  /** How long the agents have to evaluate. */
  readonly evaluationMs: number;
  /** An agent that is away longer than this counts as lost for the round. */
  readonly lostAfterMs: number;
  /** How often a round is tried, and the pause before it is tried again. */
  readonly attempts: number;
  readonly retryMs: number;
  /** How often a training deadline moves by half a window because agents make progress. */
  readonly extensions: number;
  readonly limits: UpdateLimits;
  readonly gate: GateMargins;
  /** True where the coordinator holds examples of its own to evaluate on. */
  readonly holdOut: boolean;
  /** When a round closes, and what becomes of updates that started from an earlier base. */
  readonly policy: RoundPolicy;
  /** Who may be asked, and who is asked first. */
  readonly selection: Selection;
  readonly deadline: Deadline;
  /** How fast its blobs may pass at each agent; absent where the task does not say. */
  readonly transfers?: TaskTransfers;
}

/** What an update may claim and weigh. */
export interface UpdateLimits {
  readonly maxExamples: number;
  /** Largest norm, as a multiple of the median of the accepted ones. */
  readonly maxNormRatio: number;
  /** Absent in runs of before there was one. */
  readonly quarantine?: { readonly refusals: number; readonly rounds: number; readonly forMs: number };
}

/** How much worse than the release it replaces a candidate may be, in accuracy. */
export interface GateMargins {
  readonly margin: number;
  readonly worstSiteMargin: number;
  /** How much worse than fp32 the INT8 candidate may be. */
  readonly int8Margin: number;
}

export interface Checkpoint {
  readonly round: number;
  /** The master weights, fp32. */
  readonly weights: BlobRef;
  /** The same rounded to fp16 for the way down; the rounding error stays here, because the next round adds to the master. */
  readonly fp16: BlobRef;
}

/** What an accepted or refused update was. */
export interface UpdateSummary {
  /** Unique to one sealing, hex: tells a repeated report from a second update. */
  readonly nonce: string;
  readonly exampleCount: number;
  readonly loss: number;
  readonly initialLoss: number;
  /** L2 norm of the delta; 0 where it was refused before it was opened. */
  readonly norm: number;
  readonly bytes: number;
  readonly trainMs: number;
  readonly featureMs: number;
  readonly fetchMs?: number;
  readonly sealMs?: number;
}

export type MemberState = 'selected' | 'training' | 'accepted' | 'refused' | 'failed' | 'lost' | 'paused' | 'straggler';

/** One agent of a round's cohort. */
export interface Member {
  readonly state: MemberState;
  /** The round whose plan it works on, where that is not the round in hand. */
  readonly round?: number;
  /** When its plan went out; absent before. */
  readonly askedAtMs?: number;
  /** Since when it is away; absent while connected. */
  readonly lostAtMs?: number;
  /** The update that was decided on. */
  readonly update?: UpdateSummary;
  readonly answeredAtMs?: number;
  /** Why its site paused, where it was given up for that. */
  readonly paused?: string;
  /** Why it was refused, or the code of its failure, with a sentence. */
  readonly reason?: string;
  readonly message?: string;
  /** 'asked' while its report is awaited. */
  readonly evaluation?: 'asked' | 'lost' | 'late' | { readonly failed: string } | SiteMeasures;
}

/** Measures of a candidate on one set of held-out examples. */
export interface SiteMeasures {
  readonly fp32: PrecisionMeasures;
  readonly int8?: PrecisionMeasures;
  /** Sum over examples of KL(fp32 || int8), nats. */
  readonly klSum: number;
}

/** How often each operator stands in the graphs of a candidate. */
export interface OperatorCounts {
  readonly fp32: Readonly<Record<string, number>>;
  readonly int8: Readonly<Record<string, number>>;
}

/** The quantized pipeline, or why there is none. */
export type QuantizedCandidate =
  | {
      readonly pipeline: Pipeline;
      readonly sizeBytesFp32: number;
      readonly sizeBytesInt8: number;
      readonly operators?: OperatorCounts;
    }
  | { readonly none: string };

export type CentralEvaluation = SiteMeasures | { readonly none: string };

/** What the gate compares the next candidate with. */
export interface ReleasedMeasures {
  readonly releaseId: string;
  readonly accuracy: number;
  readonly worstSiteAccuracy?: number;
}

export interface AggregationReport {
  readonly updateCount: number;
  readonly exampleCount: number;
  /** L2 norm of the mean delta. */
  readonly norm: number;
}

export interface RunState {
  readonly plan: RunPlan;
  readonly status: RunStatus;
  /** Why it waits, failed or was stopped; empty while it runs. */
  readonly reason: string;
  /** When the last event happened. */
  readonly atMs: number;
  /** The round in hand, from 1, and which try at it this is, from 1. */
  readonly round: number;
  readonly attempt: number;
  readonly phase: Phase;
  readonly roundStartedAtMs: number;
  readonly phaseStartedAtMs: number;
  /** When this phase stops waiting; absent where it waits for no time. */
  readonly deadlineMs?: number;
  readonly extensionsUsed: number;
  /** Milliseconds spent in each phase of this round. */
  readonly phaseMs: Readonly<Partial<Record<Phase, number>>>;
  /** The checkpoint that this round starts from. */
  readonly base: Checkpoint;
  /** Every agent that was connected during the run. */
  readonly agents: Readonly<Record<string, KnownAgent>>;
  /** The cohort of the round in hand, and what became of each of it. */
  readonly members: Readonly<Record<string, Member>>;
  /** Agents at work outside the cohort, for rounds that come: an update that is accepted here is folded in the next one. */
  readonly carried: Readonly<Record<string, Member>>;
  /** Hashes of the bases (fp16) of earlier rounds that are still worked on, by round. */
  readonly earlierBases: Readonly<Record<string, string>>;
  readonly memory: SelectionMemory;
  /** Refused reports of this round, by agent and reason. */
  readonly refusals: Readonly<Record<string, Readonly<Partial<Record<RefusalReason, number>>>>>;
  /** Earlier tries at this round, and why they ended. */
  readonly abandoned: readonly { readonly attempt: number; readonly reason: string }[];
  readonly aggregation?: AggregationReport;
  /** The weights that this round made. */
  readonly candidate?: Checkpoint;
  readonly quantized?: QuantizedCandidate;
  readonly central?: CentralEvaluation;
  /** What the gate said of this round's candidate. */
  readonly decision?: GateDecision;
  /** The trunk in INT8, made once in a run and then kept. */
  readonly frozenTrunk?: Part;
  readonly released?: ReleasedMeasures;
  /** The largest median norm of a committed round of this run: honest training has been seen to move as far as that. */
  readonly largestMedianNorm?: number;
  readonly committedRounds: number;
}

/** What a run knows of an agent outside its rounds: of its traits, what this run's task asks for. */
export interface KnownAgent {
  readonly connected: boolean;
  /** For people. */
  readonly name?: string;
  readonly tags?: readonly string[];
  /** True where the site takes no part in this run's task. */
  readonly declines?: true;
  /** Absent where there is no fault among its last rounds. */
  readonly conduct?: Conduct;
  /** Absent where it never was in quarantine for the task. */
  readonly quarantine?: Quarantine;
  /** Why its site takes no work now; absent where it does. */
  readonly paused?: string;
}

/** True while a run can still change by itself. */
export function isOpen(state: RunState): boolean {
  return state.status === 'running' || state.status === 'waiting';
}

/** Connected agents in canonical order. */
export function connectedAgents(state: RunState): string[] {
  return Object.keys(state.agents)
    .filter((id) => state.agents[id]?.connected === true)
    .sort();
}

/** True while a member works on its plan. */
export function isAtWork({ state }: Member): boolean {
  return state === 'selected' || state === 'training';
}

/** True for a member whose work was given up because it is away or paused: it may come back with it. */
export function isGivenUp({ state }: Member): boolean {
  return state === 'lost' || state === 'paused';
}

/** Cohort members in a state, in canonical order. */
export function membersIn(state: RunState, ...states: readonly MemberState[]): string[] {
  return Object.entries(state.members)
    .filter(([, member]) => states.includes(member.state))
    .map(([id]) => id)
    .sort();
}

/** The state with some fields of one member changed. */
export function withMember(state: RunState, agentId: string, change: Partial<Member>): RunState {
  const member = state.members[agentId];
  if (member === undefined) return state;
  return { ...state, members: { ...state.members, [agentId]: { ...member, ...change } } };
}

/** The state with some fields of an agent changed that works outside the cohort. */
export function withCarried(state: RunState, agentId: string, change: Partial<Member>): RunState {
  const member = state.carried[agentId];
  if (member === undefined) return state;
  return { ...state, carried: { ...state.carried, [agentId]: { ...member, ...change } } };
}
