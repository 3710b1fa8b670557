/** Why a round does not begin, for people: what it needs, who is here, and what would end the wait. */
import { connectedAgents, type RunState } from '../state.js';
import { isEligible } from './choose.js';

/** More names than this are counted, not told. */
const mostNames = 10;

/** @param ready agents that count towards the minimum, in canonical order */
export function waitingReason(state: RunState, ready: readonly string[]): string {
  const { cohort, selection } = state.plan;
  const { tags } = selection;
  const kind = tags.length === 0 ? '' : ` with ${tags.length === 1 ? 'tag' : 'tags'} ${tags.join(', ')}`;
  const here = ready.length === 0 ? 'none is' : ready.length === 1 ? '1 is' : `${ready.length} are`;
  const others = connectedAgents(state).filter((id) => !isEligible(state, id));
  const besides =
    others.length === 0 ? '' : `, besides ${others.length} that may not take part: ${names(state, others)}`;
  const missing = cohort.min - ready.length;
  const more = missing === 1 ? 'another one connects' : `${missing} more connect`;
  return (
    `round ${state.round} needs ${cohort.min} ${cohort.min === 1 ? 'agent' : 'agents'}${kind}; ` +
    `${here} connected${ready.length === 0 ? '' : `: ${names(state, ready)}`}${besides}; it goes on when ${more}`
  );
}

function names(state: RunState, ids: readonly string[]): string {
  const shown = ids.slice(0, mostNames).map((id) => state.agents[id]?.name ?? id);
  return ids.length > mostNames ? `${shown.join(', ')} and ${ids.length - mostNames} more` : shown.join(', ');
}
