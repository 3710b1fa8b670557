/**
 * Pace steering (Bonawitz et al. 2019, https://arxiv.org/abs/1902.01046, section 2.3): from time to time, agents that no round needs
 * are sent away until one may need them. Each replica steers the agents whose streams it holds.
 */
import type { Clock, Timers } from '@graft/core/clock';

import type { Hub } from '../federation/hub.js';
import { repeat } from '../replicas/repeat.js';
import type { Logger } from '../rounds/rounds.js';
import { awayMs } from './away.js';
import type { Steering } from './steering.repository.js';

export interface SteeringPorts {
  readonly steering: Steering;
  readonly hub: Pick<Hub, 'connected' | 'sendAway'>;
  /** 0 for never. */
  readonly longestAwayMs: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
}

const longestPauseMs = 30_000;

/** Answers what ends it. */
export function steerAgents(ports: SteeringPorts): { stop(): Promise<void> } {
  const { longestAwayMs, timers, logger } = ports;
  if (longestAwayMs === 0) return { stop: async () => undefined };
  const pauseMs = Math.min(longestPauseMs, Math.max(500, longestAwayMs / 4));
  return repeat(() => sendIdleAway(ports), {
    what: 'sending idle agents away',
    timers,
    logger,
    everyMs: () => pauseMs,
  });
}

async function sendIdleAway({ steering, hub, longestAwayMs, clock, logger }: SteeringPorts): Promise<void> {
  const idle = await steering.idle(hub.connected());
  if (idle.length === 0) return;
  const { runs, population } = await steering.load();
  for (const agentId of idle) {
    const atMs = clock.nowMs();
    const away = awayMs(runs, { agentId, population, longestAwayMs, atMs });
    if (away === 0) continue;
    try {
      await hub.sendAway(agentId, { awayMs: away, backAtMs: atMs + away });
    } catch (error) {
      logger.warn({ agentId, err: error }, 'an agent that was to be sent away has left by itself');
    }
  }
}
