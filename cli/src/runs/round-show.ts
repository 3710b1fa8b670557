/** What `graft round show` prints: the round as it is stored, and what its agents said last. Pure. */
import type { RoundDetail, RoundView, RunView } from '../api/views.js';
import { plain, wrap } from '../output/fit-table.js';
import { bytes, seconds, share, timestamp } from '../output/format.js';
import { agentLines, agentRows, hasTrained } from './agent-rows.js';
import { phasesShown } from './round-line.js';

export interface ShowOptions {
  /** Cells of a line; Infinity where nobody looks. */
  readonly width: number;
  /** Every agent, however many they are. */
  readonly showAll: boolean;
  readonly nowMs: number;
}

/** True while the round is in hand. */
export const isInHand = (round: RoundView, run: RunView): boolean =>
  round.finishedAtMs === undefined && run.round === round.round && run.finishedAtMs === undefined;

export function roundShow(run: RunView, round: RoundDetail, options: ShowOptions): string[] {
  const { width } = options;
  const field = fieldIn(width);
  return [
    ...wrap(`round ${round.round}/${run.rounds} of run ${run.id} (${plain(run.taskName)})`, width, 2),
    ...(isInHand(round, run) ? phaseLines(run, options) : overLines(run, round, width)),
    ...field('phases', phaseTimes(round, isInHand(round, run) ? run : undefined, options.nowMs)),
    ...field('updates', updateCounts(round)),
    ...field('totals', totals(round)),
    ...gateLines(round, width),
    ...round.record.abandoned.flatMap(({ attempt, reason }) => field('abandoned', `try ${attempt}: ${plain(reason)}`)),
    '',
    ...agentLines(agentRows(round), width, options.showAll),
    ...quantizationLines(round, width),
  ];
}

const fieldWidth = 11;

/** A named field on as many lines as it takes. */
export const fieldIn =
  (width: number) =>
  (name: string, text: string): string[] =>
    text === ''
      ? []
      : wrap(text, Math.max(20, width - fieldWidth), 0).map(
          (line, index) => (index === 0 ? name : '').padEnd(fieldWidth) + line,
        );

/** The phase in hand: since when, until when, what it waits for and what ends that. */
export function phaseLines(run: RunView, { width, nowMs }: Pick<ShowOptions, 'width' | 'nowMs'>): string[] {
  const field = fieldIn(width);
  const { waiting } = run;
  const state = run.status === 'waiting' ? `${run.phase} (waiting)` : run.phase;
  const since = `for ${seconds((nowMs - run.phaseStartedAtMs) / 1000)}, since ${timestamp(run.phaseStartedAtMs)} UTC`;
  return [
    ...field('phase', `${state}, try ${run.attempt} of ${run.attempts}, ${since}`),
    ...field('waits for', plain(waiting?.for ?? '')),
    ...field('ends with', plain(waiting?.endedBy ?? '')),
    ...field('deadline', waiting?.untilMs === undefined ? '' : moment(waiting.untilMs, nowMs)),
  ];
}

function moment(atMs: number, nowMs: number): string {
  const left = (atMs - nowMs) / 1000;
  return `${timestamp(atMs)} UTC, ${left >= 0 ? `in ${seconds(left)}` : `${seconds(-left)} ago`}`;
}

function overLines(run: RunView, round: RoundView, width: number): string[] {
  const field = fieldIn(width);
  const { phase, startedAtMs, finishedAtMs } = round;
  const outcome = phase === 'committed' ? 'committed' : `not finished: the run ${run.status} while ${phase}`;
  const took = finishedAtMs === undefined ? '' : `, ${seconds((finishedAtMs - startedAtMs) / 1000)}`;
  return [
    ...field('state', `${outcome}, try ${round.record.attempt}${took}, started ${timestamp(startedAtMs)} UTC`),
    ...field('reason', phase === 'committed' ? '' : plain(run.reason)),
  ];
}

function phaseTimes({ record }: RoundView, inHand: RunView | undefined, nowMs: number): string {
  const spent: Record<string, number> = { ...record.secondsByPhase };
  if (inHand !== undefined)
    spent[inHand.phase] = (spent[inHand.phase] ?? 0) + Math.max(0, nowMs - inHand.phaseStartedAtMs) / 1000;
  return [...phasesShown, 'abandoned']
    .filter((phase) => spent[phase] !== undefined)
    .map((phase) => `${phase} ${seconds(spent[phase] ?? 0)}${phase === inHand?.phase ? ' so far' : ''}`)
    .join(', ');
}

function updateCounts({ record }: RoundView): string {
  const { updates, refusals, agents } = record;
  const all = Object.values(agents);
  const working = all.filter(({ state }) => state === 'selected' || state === 'training').length;
  const reasons = Object.entries(refusals).map(([reason, count]) => `${reason} ${count}`);
  const named = Object.entries({
    refused: updates.refused,
    failed: updates.failed,
    lost: updates.lost,
    paused: updates.paused ?? 0,
    straggling: updates.stragglers,
    'at work': working,
  });
  const others = named.filter(([, count]) => count > 0).map(([name, count]) => `, ${count} ${name}`);
  const refused = reasons.length === 0 ? '' : `; refused reports: ${reasons.join(', ')}`;
  return `${updates.accepted} accepted of ${all.length} asked${others.join('')}${refused}`;
}

function totals({ record }: RoundView): string {
  const accepted = Object.values(record.agents).filter(({ state }) => state === 'accepted');
  const examples = accepted.reduce((sum, { exampleCount }) => sum + (exampleCount ?? 0), 0);
  return [
    `up ${bytes(record.bytesUp)}`,
    `down ${bytes(record.bytesDown)}`,
    ...(examples > 0 ? [`${examples} examples`] : []),
    ...(record.trainingLoss === undefined || !accepted.some(hasTrained)
      ? []
      : [`training loss ${record.trainingLoss.toFixed(4)}`]),
  ].join(', ');
}

function gateLines({ record: { gate } }: RoundView, width: number): string[] {
  if (gate === undefined) return [];
  const field = fieldIn(width);
  const measures = (['fp32', 'int8'] as const)
    .map((precision) => [precision, gate[precision]] as const)
    .flatMap(([precision, one]) =>
      one === undefined ? [] : [`${precision} accuracy ${share(one.accuracy)} loss ${one.loss.toFixed(3)}`],
    );
  return [
    ...field(
      'gate',
      [gate.passed ? `released ${gate.precision}` : 'kept back, nothing released', ...measures].join(', '),
    ),
    ...gate.checks.flatMap((check) => field('', `${check.passed ? 'PASS' : 'FAIL'} ${plain(check.message)}`)),
  ];
}

/** The operators of a candidate in both precisions, most frequent first. */
function quantizationLines({ record }: RoundView, width: number): string[] {
  const { none, operators } = record.quantization ?? {};
  const field = fieldIn(width);
  if (none !== undefined) return field('int8', `not made: ${plain(none)}`);
  return (['fp32', 'int8'] as const).flatMap((precision) => {
    const counts = Object.entries(operators?.[precision] ?? {}).sort(([, a], [, b]) => b - a);
    return field(precision, counts.map(([name, count]) => `${plain(name)} ${count}`).join(', '));
  });
}
