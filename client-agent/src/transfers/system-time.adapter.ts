/** The process's clock and timers. */
import type { Clock, Timers } from '@graft/core/clock';

export const systemTime: Clock & Timers = {
  nowMs: () => Date.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};
