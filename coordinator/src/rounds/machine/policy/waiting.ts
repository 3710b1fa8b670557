/** Why a round does not begin, for people: what it needs, who is here, and what would end the wait. */
import { connectedAgents, type RunState } from '../state.js';
import { isEligible } from './choose.js';
import { isQuarantined, quarantinedAgents, timeOf } from './quarantine.js';

/** More names than this are counted, not told. */
const mostNames = 10;

/** @param ready agents that count towards the minimum, in canonical order */
export function waitingReason(state: RunState, ready: readonly string[]): string {
  const { cohort, selection } = state.plan;
  const { tags } = selection;
  const kind = tags.length === 0 ? '' : ` with ${tags.length === 1 ? 'tag' : 'tags'} ${tags.join(', ')}`;
  const here = ready.length === 0 ? 'none is' : ready.length === 1 ? '1 is' : `${ready.length} are`;
  const others = connectedAgents(state).filter((id) => !isEligible(state, id) && !isQuarantined(state, id));
  const shut = quarantinedAgents(state);
  const apart = shut.length === 0 ? '' : `, besides ${shut.length} in quarantine: ${standings(state, shut)}`;
  const orBack =
    shut.length === 0 ? '' : `, or one in quarantine is let back: graft site release ${names(state, shut.slice(0, 1))}`;
  const besides =
    others.length === 0 ? '' : `, besides ${others.length} that may not take part: ${names(state, others)}`;
  const missing = cohort.min - ready.length;
  const more = missing === 1 ? 'another one connects' : `${missing} more connect`;
  return (
    `round ${state.round} needs ${cohort.min} ${cohort.min === 1 ? 'agent' : 'agents'}${kind}; ` +
    `${here} connected${ready.length === 0 ? '' : `: ${names(state, ready)}`}${besides}${apart}; it goes on when ${more}${orBack}`
  );
}

/** Who is in quarantine, until when and why. */
function standings(state: RunState, ids: readonly string[]): string {
  const told = ids.slice(0, mostNames).flatMap((id) => {
    const { name = id, quarantine } = state.agents[id] ?? {};
    return quarantine === undefined ? [] : [`${name} (until ${timeOf(quarantine.untilMs)}: ${quarantine.reason})`];
  });
  return ids.length > mostNames ? `${told.join(', ')} and ${ids.length - mostNames} more` : told.join(', ');
}

function names(state: RunState, ids: readonly string[]): string {
  const shown = ids.slice(0, mostNames).map((id) => state.agents[id]?.name ?? id);
  return ids.length > mostNames ? `${shown.join(', ')} and ${ids.length - mostNames} more` : shown.join(', ');
}
