/** `graft-agent outbox`: everything that left the site, and what waits to be sent. */
import { agentPaths } from '../config/agent-paths.js';
import { readAgentConfig } from '../config/agent-directory.adapter.js';
import { readOutbox } from '../daemon/outbox.adapter.js';
import { readSentLog } from '../daemon/sent-log.adapter.js';
import { formatBytes, formatTable } from '../output/format.js';
import type { CommandContext } from './context.driver.js';

export async function outbox({ options, output, directory }: CommandContext<{ last?: number }>): Promise<number> {
  const paths = agentPaths(directory);
  await readAgentConfig(paths);
  const { entries, damaged } = await readSentLog(paths.sentLog);
  const waiting = await readOutbox(paths.outbox);
  const shown = options.last === undefined ? entries : entries.slice(-options.last);
  const total = entries.reduce((sum, { bytes }) => sum + bytes, 0);
  const rows = shown.map(({ time, what, bytes, round, sha256, note }) => [
    time.slice(0, 19).replace('T', ' '),
    what,
    round === undefined ? '' : `round ${round}`,
    formatBytes(bytes),
    sha256 === undefined ? '' : `sha256:${sha256.slice(0, 12)}…`,
    note ?? '',
  ]);
  output.result(
    {
      sent: shown,
      total: { count: entries.length, bytes: total },
      damaged,
      waiting: waiting.map(({ kind, runId, round, atMs }) => ({
        kind,
        run: runId,
        round,
        since: new Date(atMs).toISOString(),
      })),
    },
    [
      ...formatTable([['time (UTC)', 'what', 'round', 'size', 'content', ''], ...rows]),
      `${entries.length} sendings, ${formatBytes(total)} in all${damaged > 0 ? `, ${damaged} damaged lines in ${paths.sentLog}` : ''}`,
      ...waiting.map(({ kind, round }) => `waiting: ${kind} of round ${round}`),
    ],
  );
  return 0;
}
