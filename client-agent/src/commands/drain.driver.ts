/** `graft-agent drain`: the running agent finishes what is in hand, reports it, takes nothing new, and ends. */
import { setTimeout as sleep } from 'node:timers/promises';

import { GraftError } from '@graft/core/error';

import { readAgentConfig } from '../config/agent-directory.adapter.js';
import { agentPaths } from '../config/agent-paths.js';
import { writeFileAtomically } from '../config/files.adapter.js';
import { readStatusFile } from '../daemon/status-file.adapter.js';
import { formatDuration } from '../output/format.js';
import type { CommandContext } from './context.driver.js';
import { isAlive } from './process-alive.adapter.js';

/** What keeping a checkpoint and the last transfer may take after the limit. */
const afterLimitMs = 60_000;

/** How often it looks whether the agent has ended. */
const lookEveryMs = 100;

/** Throws TIMED_OUT where the agent still runs a minute after its limit. */
export async function drain({ output, directory, options }: CommandContext<{ limit?: number }>): Promise<number> {
  const paths = agentPaths(directory);
  await readAgentConfig(paths);
  const before = await readStatusFile(paths.status);
  if (before === undefined || before.state === 'stopped' || !isAlive(before.pid)) {
    output.result({ drained: false, running: false }, ['no agent runs on this directory: there is nothing to drain']);
    return 0;
  }
  const startedAtMs = Date.now();
  const limitMs = (options.limit ?? 300) * 1000;
  await writeFileAtomically(paths.drain, JSON.stringify({ atMs: startedAtMs, limitMs }));
  output.progress(`draining: the work in hand has ${formatDuration(limitMs)} to end`);
  while (isAlive(before.pid)) {
    if (Date.now() - startedAtMs > limitMs + afterLimitMs) {
      throw new GraftError(
        'TIMED_OUT',
        `the agent (pid ${before.pid}) still runs; to end it at once: kill ${before.pid}`,
      );
    }
    await sleep(lookEveryMs);
  }
  const after = await readStatusFile(paths.status);
  const reason = after?.state === 'stopped' ? (after.cause ?? 'drained') : 'the agent has ended';
  const ms = Date.now() - startedAtMs;
  output.result({ drained: true, reason, ms }, [`${reason}; took ${formatDuration(ms)}`]);
  return 0;
}
