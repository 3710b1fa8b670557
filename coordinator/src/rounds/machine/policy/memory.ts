/**
 * What a run remembers of its agents from round to round, for the choice of the next cohort and its deadline. Bounded, and empty
 * where the plan asks for neither: the state is stored with every event.
 */
import type { Member, RunPlan, RunState } from '../state.js';
import { roundOf } from './staleness.js';

export interface AgentMemory {
  /** The last round that it was asked in. */
  readonly chosenInRound: number;
  /** What its last accepted update said, and the round whose fold took it. */
  readonly answer?: {
    readonly round: number;
    readonly exampleCount: number;
    readonly loss: number;
    readonly tookMs: number;
  };
}

export interface SelectionMemory {
  readonly agents: Readonly<Record<string, AgentMemory>>;
  /** How long the latest accepted updates took, from plan to report, the newest last. */
  readonly answerMs: readonly number[];
}

export const noMemory: SelectionMemory = { agents: {}, answerMs: [] };

/** Agents that are remembered: whoever was asked longest ago is forgotten, and is as good as never asked. */
export const mostAgents = 10_000;
/** Times that are remembered: enough for a quantile, few enough to follow agents that get slower. */
export const mostAnswers = 64;

function remembersAgents({ selection }: RunPlan): boolean {
  return selection.order.kind !== 'random';
}

/** Notes who is asked in the round in hand. */
export function noteChosen(state: RunState, agentIds: readonly string[]): RunState {
  if (agentIds.length === 0 || !remembersAgents(state.plan)) return state;
  const agents: Record<string, AgentMemory> = { ...state.memory.agents };
  for (const id of agentIds) agents[id] = { ...agents[id], chosenInRound: state.round };
  return { ...state, memory: { ...state.memory, agents: newest(agents) } };
}

/** Notes what the round in hand has learnt of its agents; called once, at its commit. */
export function noteAnswers(state: RunState): RunState {
  const { plan, memory, members } = state;
  const accepted = Object.entries(members).filter(([, member]) => member.state === 'accepted');
  const times = accepted.flatMap(([, member]) => tookMs(member) ?? []);
  const answerMs =
    plan.deadline.patience === undefined ? memory.answerMs : [...memory.answerMs, ...times].slice(-mostAnswers);
  if (!remembersAgents(plan)) return { ...state, memory: { ...memory, answerMs } };
  const agents: Record<string, AgentMemory> = { ...memory.agents };
  for (const [id, member] of accepted) {
    const { update } = member;
    if (update === undefined) continue;
    const { exampleCount, loss } = update;
    const answer = { round: state.round, exampleCount, loss, tookMs: tookMs(member) ?? 0 };
    agents[id] = { chosenInRound: agents[id]?.chosenInRound ?? roundOf(state, member), answer };
  }
  return { ...state, memory: { agents: newest(agents), answerMs } };
}

function tookMs({ askedAtMs, answeredAtMs }: Member): number | undefined {
  if (askedAtMs === undefined || answeredAtMs === undefined) return undefined;
  return Math.max(0, answeredAtMs - askedAtMs);
}

function newest(agents: Readonly<Record<string, AgentMemory>>): SelectionMemory['agents'] {
  const all = Object.entries(agents);
  if (all.length <= mostAgents) return agents;
  const kept = all.sort(([, a], [, b]) => b.chosenInRound - a.chosenInRound).slice(0, mostAgents);
  return Object.fromEntries(kept);
}
