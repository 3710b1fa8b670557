/** A row for those who watch a run, with the run's place in it. */
import type { Effect } from './effect.js';
import type { RunState } from './state.js';

export function publish(state: RunState, event: string, data: Record<string, string | number | boolean> = {}): Effect {
  return { kind: 'publish', event, data: { round: state.round, attempt: state.attempt, ...data } };
}
