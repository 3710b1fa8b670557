/** The process's timers. */
import type { Timers } from '@graft/core/clock';

export const systemTimers: Timers = {
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    // Doors and databases keep the process alive; what only waits does not.
    timer.unref();
    return () => clearTimeout(timer);
  },
};
