/** `graft-agent start`: the daemon in the foreground, one line an event. A first signal drains, a second stops, a third ends. */
import { lineOf } from '../daemon/daemon-events.js';
import { runAgent } from '../daemon/run-agent.driver.js';
import { formatTime } from '../output/format.js';
import type { CommandContext } from './context.driver.js';

/** Exit code of a program that was interrupted by SIGINT. */
const interrupted = 130;

export async function start({ options, output, directory }: CommandContext<{ timeout?: number }>): Promise<number> {
  const [drain, stop] = [new AbortController(), new AbortController()];
  let exit = 0;
  let asked = 0;
  const onSignal = (signal: NodeJS.Signals): void => {
    asked += 1;
    if (asked > 2) process.exit(interrupted);
    if (signal === 'SIGINT') exit = interrupted;
    if (asked === 1) return drain.abort();
    output.progress('stopping now, with a checkpoint of the work in hand');
    stop.abort();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  try {
    await runAgent({
      directory,
      stop: stop.signal,
      drain: drain.signal,
      emit: (event) => {
        const line = lineOf(event);
        if (line !== undefined || output.json) {
          const atMs = Date.now();
          output.event({ at: new Date(atMs).toISOString(), ...event }, `${formatTime(atMs)}  ${line ?? ''}`);
        }
      },
      ...(options.timeout === undefined ? {} : { timeoutMs: options.timeout * 1000 }),
    });
    return exit;
  } finally {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
  }
}
