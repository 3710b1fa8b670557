/** A round and a run as a person reads them in a terminal. Pure. */
import type { RoundView, RunView } from '../api/views.js';
import { bar, bytes, duration, share } from '../output/format.js';

/** Phases in the order in which a round goes through them. */
export const phasesShown = ['selecting', 'training', 'aggregating', 'quantizing', 'evaluating'] as const;

/** Seconds from the start of a round to its commit; undefined while it is under way. */
export function roundSeconds({ startedAtMs, finishedAtMs }: RoundView): number | undefined {
  return finishedAtMs === undefined ? undefined : (finishedAtMs - startedAtMs) / 1000;
}

/** One line for a round that is over. */
export function roundLine(round: RoundView, total: number): string {
  const { record } = round;
  const { accepted, refused, failed, lost, paused = 0, stragglers } = record.updates;
  const asked = accepted + refused + failed + lost + paused + stragglers;
  const best = record.gate?.[record.gate.precision];
  const seconds = roundSeconds(round);
  const phases = phasesShown
    .filter((phase) => record.secondsByPhase[phase] !== undefined)
    .map((phase) => `${phase} ${(record.secondsByPhase[phase] ?? 0).toFixed(1)}`);
  return [
    `round ${String(round.round).padStart(String(total).length)}/${total}`,
    `${accepted} of ${asked}`,
    ...(best === undefined ? [] : [`acc ${share(best.accuracy)}`, `loss ${best.loss.toFixed(3)}`]),
    ...(best?.worstSiteAccuracy === undefined ? [] : [`worst site ${share(best.worstSiteAccuracy)}`]),
    `up ${bytes(record.bytesUp)}`,
    `down ${bytes(record.bytesDown)}`,
    ...(seconds === undefined ? [] : [`${seconds.toFixed(1)} s (${phases.join(', ')})`]),
    ...(record.gate === undefined ? [] : [record.gate.passed ? `released ${record.gate.precision}` : 'not released']),
    ...Object.entries(record.refusals).map(([reason, count]) => `refused ${reason} x${count}`),
  ].join('  ');
}

/** Cells of the bar that shows how far a run is. */
const barWidth = 20;

/** The line that is redrawn while a round is under way. */
export function statusLine(run: RunView, rounds: readonly RoundView[]): string {
  const current = rounds.find(({ round, finishedAtMs }) => round === run.round && finishedAtMs === undefined);
  const agents = Object.values(current?.record.agents ?? {});
  const answered = agents.filter(({ state }) => state !== 'selected' && state !== 'training').length;
  const waiting = run.status === 'waiting' ? `waiting: ${run.reason}` : run.phase;
  const done = agents.length === 0 ? 0 : answered / agents.length;
  const whole = bar((run.round - 1 + done) / run.rounds, barWidth);
  return `round ${run.round}/${run.rounds}  ${whole}  ${waiting}${agents.length > 0 ? `  ${answered}/${agents.length} sites` : ''}`;
}

/** The last line of a run. */
export function runLine(run: RunView): string {
  const spent = run.finishedAtMs === undefined ? '' : `  ${duration(run.finishedAtMs - run.createdAtMs)}`;
  return `run ${run.id} ${run.status}${run.reason === '' ? '' : `: ${run.reason}`}  round ${run.round}/${run.rounds}${spent}`;
}
