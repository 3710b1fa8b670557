/** A report that is refused: a value with its reason, counted for its agent. */
import type { RefusalReason } from '../rounds.js';
import { refusedVerdict, type Step } from './effect.js';
import type { RunState } from './state.js';

/** Refuses a report and counts it for its agent. Unchecked names count too: only enrolled agents get this far. */
export function refuse(state: RunState, agentId: string, reason: RefusalReason, message: string): Step {
  const own = state.refusals[agentId] ?? {};
  const refusals = { ...state.refusals, [agentId]: { ...own, [reason]: (own[reason] ?? 0) + 1 } };
  return { state: { ...state, refusals }, effects: [], verdict: refusedVerdict(reason, message) };
}
