/**
 * Pace steering: an agent that is not needed now is told when to come back. Bonawitz et al., "Towards Federated Learning at Scale:
 * System Design" (2019, https://arxiv.org/abs/1902.01046), section 2.3: a small population is gathered, so that enough agents are
 * here at once for a round to begin; a large one is spread, so that about as many come in a round's time as the rounds need,
 * and no two waves of them come together.
 */
import { random } from '@graft/core/random';

export interface Pace {
  /** Agents that may take part. */
  readonly population: number;
  /** How many a round asks. */
  readonly wanted: number;
  /** How long a round takes, milliseconds. */
  readonly roundMs: number;
  /** When the next round is expected to choose its agents, and what time it is now, milliseconds. */
  readonly nextRoundAtMs: number;
  readonly atMs: number;
  /** Of this agent and this answer, so that each comes at its own time: `seedFrom('pace', agentId, round)`. */
  readonly seed: number;
}

/** Up to this many times what a round asks, a population is small: all of it is needed to find enough who are ready. */
export const smallPopulation = 10;
/** A round finds twice as many as it asks: half of them may be busy, on battery or gone. */
const spare = 2;
/** Gathered agents come within this share of a round, so that they do not come in one instant. */
const gatherShare = 0.1;
/** Nobody is sent away for longer, for whatever reason: a day. */
export const longestAwayMs = 24 * 3_600_000;

/** Milliseconds from now; 0 stays. Uniform in a window that gathers or spreads, its mean what keeps `wanted` of them coming. */
export function comeBackMs({ population, wanted, roundMs, nextRoundAtMs, atMs, seed }: Pace): number {
  const chance = random(seed).next();
  if (population <= wanted * smallPopulation) {
    const untilMs = Math.max(0, nextRoundAtMs - atMs);
    return Math.round(Math.min(longestAwayMs, untilMs + chance * roundMs * gatherShare));
  }
  const periodMs = (roundMs * population) / (Math.max(1, wanted) * spare);
  // Half to one and a half periods: the mean is a period, and whoever came together does not come together again.
  return Math.round(Math.min(longestAwayMs, periodMs * (0.5 + chance)));
}
