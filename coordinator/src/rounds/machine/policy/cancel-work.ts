/** Who is told to stop: a cancel names the round whose plan an agent works on, and members may work on plans of several. */
import type { Effect } from '../effect.js';
import type { Member, RunState } from '../state.js';
import { roundOf } from './staleness.js';

/** One effect for each round that some of the members work for; none where there are no members. */
export function cancelWork(
  state: RunState,
  members: Readonly<Record<string, Member>>,
  reason: string,
): Extract<Effect, { kind: 'cancel' }>[] {
  const byRound = new Map<number, string[]>();
  for (const [id, member] of Object.entries(members)) {
    const round = roundOf(state, member);
    byRound.set(round, [...(byRound.get(round) ?? []), id]);
  }
  return [...byRound]
    .sort(([a], [b]) => a - b)
    .map(([round, ids]) => {
      const agentIds = ids.sort();
      return { kind: 'cancel', agentIds, reason, ...(round !== state.round && { round }) };
    });
}
