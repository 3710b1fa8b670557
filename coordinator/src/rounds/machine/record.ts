/** A round as people see it: plain JSON, written with every step, so that it is as true as the state it is made of. */
import type { GateDecision } from './gate.js';
import { quarantinedAgents } from './policy/quarantine.js';
import { carriesOver, stalenessOf, updateWeight } from './policy/staleness.js';
import type { AggregationReport, Member, Phase, RunState, SiteMeasures } from './state.js';

export interface AgentRecord {
  readonly state: Member['state'];
  readonly reason?: string;
  readonly message?: string;
  /** The try of the round in which this was so. */
  readonly attempt: number;
  readonly exampleCount?: number;
  readonly loss?: number;
  readonly initialLoss?: number;
  readonly norm?: number;
  /** Commits between the base of its update and this round, and what it counted for that; absent where it was fresh. */
  readonly staleness?: number;
  readonly weight?: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** From the plan to the answer. */
  readonly seconds?: number;
  readonly trainSeconds?: number;
  readonly featureSeconds?: number;
  readonly fetchSeconds?: number;
  readonly sealSeconds?: number;
  readonly evaluation?: SiteMeasures | { readonly failed: string };
}

export interface RoundRecord {
  readonly round: number;
  readonly attempt: number;
  readonly phase: Phase;
  readonly agents: Readonly<Record<string, AgentRecord>>;
  readonly updates: {
    readonly accepted: number;
    readonly refused: number;
    readonly failed: number;
    readonly lost: number;
    /** Given up because their sites paused. */
    readonly paused: number;
    readonly stragglers: number;
  };
  /** Refused reports by reason, and by agent and reason. */
  readonly refusals: Readonly<Record<string, number>>;
  readonly refusalsByAgent: RunState['refusals'];
  readonly abandoned: RunState['abandoned'];
  /** Agents at work outside the cohort, for a later round; absent where rounds take only their own. */
  readonly carried?: readonly string[];
  /** Connected agents that are not asked, and why; absent where there are none. */
  readonly quarantined?: Readonly<Record<string, string>>;
  /** Mean of the agents' training losses, weighted by examples. */
  readonly trainingLoss?: number;
  readonly aggregation?: AggregationReport;
  readonly quantization?: RunState['quantized'];
  readonly central?: RunState['central'];
  readonly gate?: GateDecision;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly secondsByPhase: Readonly<Partial<Record<Phase, number>>>;
}

/** Bytes that went to and from each agent in this round, as counted at the edge. */
export type Transferred = Readonly<Record<string, { readonly up: number; readonly down: number }>>;

export function recordOf(state: RunState, transferred: Transferred): RoundRecord {
  const agents = Object.fromEntries(
    Object.keys(state.members)
      .sort()
      .map((id) => [id, agentRecord(state, id, transferred)]),
  );
  const count = (wanted: Member['state']): number =>
    Object.values(agents).filter((agent) => agent.state === wanted).length;
  const bytes = Object.values(transferred);
  const loss = meanLoss(Object.values(agents));
  const shut = quarantinedAgents(state);
  return {
    round: state.round,
    attempt: state.attempt,
    phase: state.phase,
    agents,
    updates: {
      accepted: count('accepted'),
      refused: count('refused'),
      failed: count('failed'),
      lost: count('lost'),
      paused: count('paused'),
      stragglers: count('straggler'),
    },
    refusals: refusalsByReason(state),
    refusalsByAgent: state.refusals,
    abandoned: state.abandoned,
    ...(carriesOver(state.plan) && { carried: Object.keys(state.carried).sort() }),
    ...(shut.length > 0 && {
      quarantined: Object.fromEntries(shut.map((id) => [id, state.agents[id]?.quarantine?.reason ?? ''])),
    }),
    ...(loss !== undefined && { trainingLoss: loss }),
    ...(state.aggregation && { aggregation: state.aggregation }),
    ...(state.quantized && { quantization: state.quantized }),
    ...(state.central && { central: state.central }),
    ...(state.decision && { gate: state.decision }),
    bytesUp: bytes.reduce((total, { up }) => total + up, 0),
    bytesDown: bytes.reduce((total, { down }) => total + down, 0),
    secondsByPhase: Object.fromEntries(Object.entries(state.phaseMs).map(([phase, ms]) => [phase, ms / 1000])),
  };
}

function agentRecord(state: RunState, id: string, transferred: Transferred): AgentRecord {
  const member = state.members[id];
  const bytes = transferred[id] ?? { up: 0, down: 0 };
  const shared = { attempt: state.attempt, bytesUp: bytes.up, bytesDown: bytes.down };
  if (member === undefined) return { state: 'selected', ...shared };
  const { update, evaluation, answeredAtMs } = member;
  const startedAtMs = member.askedAtMs ?? trainingStartedAtMs(state);
  const staleness = stalenessOf(state, member);
  return {
    state: member.state,
    ...shared,
    ...(member.reason !== undefined && { reason: member.reason }),
    ...(member.message !== undefined && { message: member.message }),
    ...(member.state === 'paused' && member.paused !== undefined && { message: member.paused }),
    ...(staleness > 0 && { staleness, weight: updateWeight(state, id) }),
    ...(update && {
      exampleCount: update.exampleCount,
      loss: update.loss,
      initialLoss: update.initialLoss,
      norm: update.norm,
      trainSeconds: update.trainMs / 1000,
      featureSeconds: update.featureMs / 1000,
      ...(update.fetchMs !== undefined && { fetchSeconds: update.fetchMs / 1000 }),
      ...(update.sealMs !== undefined && { sealSeconds: update.sealMs / 1000 }),
    }),
    ...(answeredAtMs !== undefined && { seconds: Math.max(0, answeredAtMs - startedAtMs) / 1000 }),
    ...(typeof evaluation === 'object' && { evaluation }),
  };
}

/** When the plans of this try went out, as far as the state still knows. */
function trainingStartedAtMs(state: RunState): number {
  if (state.phase === 'training') return state.phaseStartedAtMs;
  return state.roundStartedAtMs + (state.phaseMs.selecting ?? 0) + (state.phaseMs.abandoned ?? 0);
}

function refusalsByReason(state: RunState): Record<string, number> {
  const totals: Record<string, number> = {};
  for (const own of Object.values(state.refusals)) {
    for (const [reason, count] of Object.entries(own)) totals[reason] = (totals[reason] ?? 0) + count;
  }
  return totals;
}

function meanLoss(agents: readonly AgentRecord[]): number | undefined {
  const accepted = agents.filter(({ state, loss }) => state === 'accepted' && loss !== undefined);
  const examples = accepted.reduce((total, { exampleCount }) => total + (exampleCount ?? 0), 0);
  if (examples === 0) return undefined;
  return accepted.reduce((total, { loss, exampleCount }) => total + (loss ?? 0) * (exampleCount ?? 0), 0) / examples;
}
