/** What `graft run show` prints: where a run stands, what it waits for, and its rounds. Pure. */
import type { RoundView, RunView } from '../api/views.js';
import { fitTable, plain, wrap, type Column } from '../output/fit-table.js';
import { bytes, seconds, share, timestamp } from '../output/format.js';
import { roundSeconds } from './round-line.js';
import { hasTrained } from './agent-rows.js';
import { fieldIn, phaseLines, type ShowOptions } from './round-show.js';

const isOver = (run: RunView): boolean => run.finishedAtMs !== undefined;

/** Rounds that are shown unless all are asked for: the newest. */
const shownRounds = 20;

export function runShow(run: RunView, rounds: readonly RoundView[], options: ShowOptions): string[] {
  const { width, nowMs } = options;
  const field = fieldIn(width);
  const { min, goal, max } = run.cohort;
  const endMs = run.finishedAtMs ?? nowMs;
  const shown = options.showAll ? rounds : rounds.slice(-shownRounds);
  return [
    ...wrap(`run ${run.id}  ${run.status}  round ${run.round}/${run.rounds}  task ${plain(run.taskName)}`, width, 2),
    ...field(isOver(run) ? 'reason' : '', isOver(run) ? plain(run.reason) : ''),
    ...(isOver(run) ? [] : phaseLines(run, options)),
    ...field('agents', `asks ${max}, wants ${goal} updates, needs ${min}; ${run.connected} connected`),
    ...(run.quarantined ?? []).flatMap(({ name, reason, untilMs }) =>
      field(
        'quarantine',
        plain(`${name} until ${timestamp(untilMs)} UTC: ${reason}; sooner back with: graft site release ${name}`),
      ),
    ),
    ...field(
      'time',
      `started ${timestamp(run.createdAtMs)} UTC, ${isOver(run) ? 'ran' : 'running for'} ${seconds((endMs - run.createdAtMs) / 1000)}`,
    ),
    ...field('totals', totals(rounds)),
    ...(shown.length === 0 ? [] : ['', ...fitTable(columns, shown, width)]),
    ...(shown.length < rounds.length ? [`and ${rounds.length - shown.length} earlier rounds; --all shows them`] : []),
  ];
}

function totals(rounds: readonly RoundView[]): string {
  const committed = rounds.filter(({ phase }) => phase === 'committed');
  const took = committed.reduce((sum, round) => sum + (roundSeconds(round) ?? 0), 0);
  const sum = (of: (round: RoundView) => number): number => rounds.reduce((total, round) => total + of(round), 0);
  const refused = sum(({ record }) => record.updates.refused);
  const tries = sum(({ record }) => record.abandoned.length);
  return [
    `${committed.length} ${committed.length === 1 ? 'round' : 'rounds'} committed`,
    `${sum(({ record }) => record.updates.accepted)} updates accepted`,
    ...(refused > 0 ? [`${refused} refused`] : []),
    ...(tries > 0 ? [`${tries} tries abandoned`] : []),
    `up ${bytes(sum(({ record }) => record.bytesUp))}`,
    `down ${bytes(sum(({ record }) => record.bytesDown))}`,
    ...(committed.length > 0 ? [`${seconds(took / committed.length)} a round`] : []),
  ].join(', ');
}

const bestOf = ({ record: { gate } }: RoundView) => gate?.[gate.precision];

const columns: readonly Column<RoundView>[] = [
  { title: 'round', rank: 0, isNumber: true, cell: ({ round }) => String(round) },
  { title: 'phase', rank: 0, cell: ({ phase }) => phase },
  {
    title: 'updates',
    rank: 0,
    isNumber: true,
    cell: ({ record }) => `${record.updates.accepted}/${Object.keys(record.agents).length}`,
  },
  { title: 'tries', rank: 7, isNumber: true, cell: ({ record }) => (record.attempt > 1 ? String(record.attempt) : '') },
  {
    title: 'accuracy',
    rank: 1,
    isNumber: true,
    cell: (round) => (bestOf(round) === undefined ? '' : share(bestOf(round)?.accuracy)),
  },
  { title: 'worst site', rank: 6, isNumber: true, cell: (round) => worst(bestOf(round)?.worstSiteAccuracy) },
  { title: 'loss', rank: 3, isNumber: true, cell: (round) => bestOf(round)?.loss.toFixed(3) ?? '' },
  {
    title: 'training loss',
    rank: 5,
    isNumber: true,
    cell: ({ record }) =>
      Object.values(record.agents).some(hasTrained) ? (record.trainingLoss?.toFixed(3) ?? '') : '',
  },
  { title: 'up', rank: 4, isNumber: true, cell: ({ record }) => bytes(record.bytesUp) },
  { title: 'down', rank: 4, isNumber: true, cell: ({ record }) => bytes(record.bytesDown) },
  { title: 'took', rank: 2, isNumber: true, cell: (round) => taken(roundSeconds(round)) },
  {
    title: 'gate',
    rank: 2,
    cell: ({ record: { gate } }) =>
      gate === undefined ? '' : gate.passed ? `released ${gate.precision}` : 'kept back',
  },
  {
    title: 'refused',
    rank: 1,
    least: 12,
    cell: ({ record }) =>
      Object.entries(record.refusals)
        .map(([reason, count]) => `${reason} ${count}`)
        .join(', '),
  },
];

const worst = (accuracy: number | undefined): string => (accuracy === undefined ? '' : share(accuracy));
const taken = (value: number | undefined): string => (value === undefined ? '' : seconds(value));
