/** Selection by chance: every order of the candidates is as likely as another, and a seed gives the same one again. */
import { random } from '@graft/core/random';

import type { Candidate } from './candidate.js';

export function randomOrder(candidates: readonly Candidate[], seed: number): string[] {
  return random(seed).shuffle(candidates.map(({ id }) => id));
}
