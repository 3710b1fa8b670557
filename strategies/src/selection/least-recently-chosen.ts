/**
 * Fairness: who was asked longest ago is asked first, who never was before all of them. With n candidates and k asked a round,
 * everyone who stays is asked once in ceil(n / k) rounds. Equals come in seeded order, so no name is favoured.
 */
import { random } from '@graft/core/random';

import type { Candidate } from './candidate.js';

/** All candidates, the first to be asked first. */
export function leastRecentlyChosen(candidates: readonly Candidate[], seed: number): string[] {
  return random(seed)
    .shuffle(candidates)
    .map(({ id, chosenInRound = 0 }) => ({ id, chosenInRound }))
    .sort((a, b) => a.chosenInRound - b.chosenInRound)
    .map(({ id }) => id);
}
