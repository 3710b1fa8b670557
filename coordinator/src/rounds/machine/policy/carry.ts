/**
 * Work that outlives its round, where the policy lets a commit cancel nobody (FedBuff, and rounds of one length).
 *
 *   the cohort closes      who still works on its plan moves from `members` to `carried`, with the round of that plan
 *   between two cohorts    reports of the carried are decided on in `carried`
 *   the next one begins    the carried become members: accepted updates count from the start, the others as they arrive
 *
 * One agent has one plan at a time, and one entry in each of the two lists at most: an update is folded where its entry is
 * accepted in `members` at the close, and leaves the state with the commit. So it counts once.
 */
import type { Effect } from '../effect.js';
import { isAtWork, isGivenUp, type Member, type RunState } from '../state.js';
import { cancelWork } from './cancel-work.js';
import { carriesOver, maxStaleness, roundOf } from './staleness.js';

/** The cohort has closed: who has not answered goes on outside it. Nothing happens where rounds take only their own. */
export function carryOn(state: RunState): RunState {
  return move(state, (member) => isAtWork(member) || isGivenUp(member));
}

/** The try is abandoned: updates that were accepted are kept for the next one too, except where a newer plan replaced them. */
export function carryAll(state: RunState): RunState {
  return move(state, (member) => isAtWork(member) || isGivenUp(member) || member.state === 'accepted');
}

function move(state: RunState, isMoved: (member: Member) => boolean): RunState {
  if (!carriesOver(state.plan)) return state;
  const entries = Object.entries(state.members);
  const moved = entries
    .filter(([, member]) => isMoved(member))
    .map(([id, member]): [string, Member] => {
      const { evaluation: _, ...work } = member;
      return [id, { ...work, round: roundOf(state, member) }];
    });
  return {
    ...state,
    members: Object.fromEntries(entries.filter(([, member]) => !isMoved(member))),
    carried: { ...Object.fromEntries(moved), ...state.carried },
  };
}

/**
 * A round begins: who was refused or failed since the last one is forgotten, and whose work has become too stale is told to stop.
 * What no one works on is forgotten too.
 */
export function dropStale(state: RunState): { readonly state: RunState; readonly effects: readonly Effect[] } {
  const entries = Object.entries(state.carried);
  if (entries.length === 0) return { state: { ...state, earlierBases: {} }, effects: [] };
  const limit = maxStaleness(state.plan);
  const isStale = (member: Member): boolean => state.round - roundOf(state, member) > limit;
  const kept = entries.filter(
    ([, member]) => !isStale(member) && member.state !== 'refused' && member.state !== 'failed',
  );
  const stale = entries.filter(([, member]) => isStale(member) && (isAtWork(member) || isGivenUp(member)));
  const wanted = new Set(kept.map(([, member]) => String(roundOf(state, member))));
  const earlierBases = Object.fromEntries(Object.entries(state.earlierBases).filter(([round]) => wanted.has(round)));
  const reason = `round ${state.round} has begun, and the task takes updates of at most ${limit} rounds before`;
  return {
    state: { ...state, carried: Object.fromEntries(kept), earlierBases },
    effects: cancelWork(state, Object.fromEntries(stale), reason),
  };
}

/** Remembers the base that this round started from, while somebody may still work on it. Call before the base moves on. */
export function keepBase(state: RunState): RunState {
  if (!carriesOver(state.plan)) return state;
  return { ...state, earlierBases: { ...state.earlierBases, [state.round]: state.base.fp16.hash } };
}

/** Hash of the base that a round's plans name; undefined for a round that is not worked on. */
export function baseHashOf(state: RunState, round: number): string | undefined {
  return state.earlierBases[round] ?? (round === state.round ? state.base.fp16.hash : undefined);
}
