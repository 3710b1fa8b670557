/** The id of the release that a round may make: one a round, so that a commit that is told twice is one release. */
import type { RunState } from './state.js';

export function releaseIdOf({ plan, round }: RunState): string {
  return `${plan.runId}-r${round}`;
}
