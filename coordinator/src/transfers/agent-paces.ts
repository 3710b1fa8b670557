/** How fast each agent may send and receive: one pace a direction, shared by all its transfers. */
import type { Clock, Timers } from '@graft/core/clock';
import { pace, unpaced, type Pace } from '@graft/protos/transfer/pace';

/** Bytes a second; absent where there is no limit. */
export interface Rates {
  readonly up?: number;
  readonly down?: number;
}

export interface AgentPaces {
  up(agentId: string): Pace;
  down(agentId: string): Pace;
}

/** @param ratesOf what holds for an agent now; a rate that changes begins with a rest. */
export function agentPaces(ratesOf: (agentId: string) => Rates, time: Clock & Timers): AgentPaces {
  const paces = new Map<string, { readonly bytesPerS: number; readonly pace: Pace }>();
  const of = (agentId: string, direction: 'up' | 'down'): Pace => {
    const bytesPerS = ratesOf(agentId)[direction];
    const key = `${direction} ${agentId}`;
    if (bytesPerS === undefined) {
      paces.delete(key);
      return unpaced;
    }
    const known = paces.get(key);
    if (known?.bytesPerS === bytesPerS) return known.pace;
    const fresh = { bytesPerS, pace: pace(bytesPerS, time) };
    paces.set(key, fresh);
    return fresh.pace;
  };
  return { up: (agentId) => of(agentId, 'up'), down: (agentId) => of(agentId, 'down') };
}
