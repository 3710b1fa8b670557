/** `graft-agent status`: what the agent on this directory is doing. */
import { agentPaths } from '../config/agent-paths.js';
import { readAgentConfig } from '../config/agent-directory.adapter.js';
import type { AgentStatus } from '../daemon/agent-status.js';
import { describePause } from '../daemon/brake-files.js';
import { readStatusFile } from '../daemon/status-file.adapter.js';
import { formatBytes, formatDuration, formatTable, formatTime } from '../output/format.js';
import { readPause } from './pause.driver.js';
import { currentRelease } from '../releases/release-store.adapter.js';
import type { CommandContext } from './context.driver.js';
import { isAlive } from './process-alive.adapter.js';

/** Rounds that people are shown; --json has all that the daemon keeps. */
const shownRounds = 5;

export async function status({ output, directory }: CommandContext<object>): Promise<number> {
  const paths = agentPaths(directory);
  const config = await readAgentConfig(paths);
  const written = await readStatusFile(paths.status);
  const paused = await readPause(paths.paused);
  const isRunning = written !== undefined && written.state !== 'stopped' && isAlive(written.pid);
  const release = (await currentRelease(paths.releases))?.manifest;
  const data = {
    agent: { id: config.agentId, name: config.agentName },
    running: isRunning,
    paused: paused ?? null,
    ...(written === undefined ? {} : { daemon: written }),
    release:
      release === undefined
        ? null
        : { id: release.id, run: release.runId, round: release.round, precision: release.precision },
  };
  const lines = [
    `agent    ${config.agentName} (${config.agentId}), coordinator ${config.federation}`,
    `state    ${stateLine(written, isRunning)}`,
    ...(written?.data === undefined
      ? []
      : [
          `data     ${written.data.training} to train on, ${written.data.heldOut} held out, ${written.data.skipped} skipped`,
        ]),
    ...(written?.dataProblem === undefined ? [] : [`data     ${written.dataProblem}`]),
    ...(paused === undefined
      ? []
      : [`paused   since ${formatTime(paused.sinceMs)}, ${describePause(paused)}; to go on: graft-agent resume`]),
    ...(isRunning && written?.device !== undefined ? [`device   ${written.device}`] : []),
    ...(isRunning && written?.drainingUntilMs !== undefined
      ? [`drain    until ${formatTime(written.drainingUntilMs)} at the latest`]
      : []),
    ...(isRunning ? (written?.jobs ?? []).map(jobLine) : []),
    ...(isRunning ? (written?.queue ?? []).map(queueLine) : []),
    `release  ${release === undefined ? 'none installed' : `${release.id} (round ${release.round}, ${release.precision})`}`,
    ...roundLines(written),
    ...refusalLine(written),
  ];
  output.result(data, lines);
  return 0;
}

function stateLine(written: AgentStatus | undefined, isRunning: boolean): string {
  if (written === undefined) return 'never started; run: graft-agent start';
  const since = formatTime(written.sinceMs);
  const cause = written.cause === undefined ? '' : `: ${written.cause}`;
  if (isRunning) return `${written.state} since ${since} (pid ${written.pid})${cause}`;
  return written.state === 'stopped'
    ? `stopped at ${since}${cause}`
    : `not running; it was ${written.state} at ${since}`;
}

function jobLine(job: AgentStatus['jobs'][number]): string {
  const { kind, round, activity, progress, step, steps, loss, examplesPerSecond, remainingMs } = job;
  const parts = [
    ...(progress === undefined ? [] : [`${Math.round(progress * 100)} %`]),
    ...(step === undefined ? [] : [`step ${step} of ${steps ?? '?'}`]),
    ...(loss === undefined ? [] : [`loss ${loss.toFixed(3)}`]),
    ...(examplesPerSecond === undefined ? [] : [`${Math.round(examplesPerSecond)} examples/s`]),
    ...(remainingMs === undefined ? [] : [`${formatDuration(remainingMs)} left`]),
  ];
  const standing = activity === undefined ? '' : `: ${[activity, parts.join(', ')].join(' ').trimEnd()}`;
  return `job      ${kind}, round ${round}${standing}`;
}

function queueLine({ kind, round, task, priority, sinceMs }: AgentStatus['queue'][number]): string {
  return `waiting  ${kind}, round ${round}${task === '' ? '' : ` of ${task}`}, priority ${priority}, since ${formatTime(sinceMs)}`;
}

/** Why the newest update was refused, and what to do about it; nothing once one was taken. */
function refusalLine(written: AgentStatus | undefined): string[] {
  const last = written?.rounds.findLast(({ update }) => update !== undefined);
  return last?.update?.message === undefined ? [] : [`refused  round ${last.round}: ${last.update.message}`];
}

function roundLines(written: AgentStatus | undefined): string[] {
  if (written === undefined || written.rounds.length === 0) return [];
  const rows = written.rounds
    .slice(-shownRounds)
    .map(({ round, update, evaluation, failure, dropped }) => [
      `round ${round}`,
      update === undefined ? '-' : `loss ${update.loss.toFixed(3)}, ${formatBytes(update.bytes)} ${update.outcome}`,
      evaluation === undefined
        ? '-'
        : `held out fp32 ${evaluation.fp32.toFixed(3)}${evaluation.int8 === undefined ? '' : `, int8 ${evaluation.int8.toFixed(3)}`}`,
      failure ?? (dropped === undefined ? '' : `dropped: ${dropped}`),
    ]);
  return formatTable(rows);
}
