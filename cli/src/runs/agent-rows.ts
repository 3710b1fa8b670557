/** The agents of a round as rows: the worst first, the many folded. Pure. */
import type { RoundAgentView, RoundDetail } from '../api/views.js';
import { fitTable, plain, wrap, type Column } from '../output/fit-table.js';
import { bytes, seconds } from '../output/format.js';

type Live = RoundDetail['agents'][number];

export interface AgentRow {
  readonly name: string;
  readonly record: RoundAgentView;
  readonly live: Live | undefined;
}

/** More agents than this are folded, to `foldedTo`. */
const unfolded = 24;
const foldedTo = 20;
/** Sentences of trouble that are shown unless all are asked for. */
const shownSentences = 8;

/** What needs a look first, last what went well. */
const order = ['refused', 'failed', 'lost', 'paused', 'straggler', 'selected', 'training', 'accepted'];
const atWork: ReadonlySet<string> = new Set(['selected', 'training']);

/** Rows of all agents of the round, the worst first: trouble, then who has come least far, then the slowest. */
export function agentRows({ record, agents }: RoundDetail): AgentRow[] {
  const live = new Map(agents.map((agent) => [agent.id, agent]));
  const rows = Object.entries(record.agents).map(([id, one]) => ({
    name: live.get(id)?.name ?? id,
    record: one,
    live: live.get(id),
  }));
  const place = (row: AgentRow): number => order.indexOf(row.record.state);
  const pace = (row: AgentRow): number =>
    atWork.has(row.record.state) ? (row.live?.progress ?? -1) : -(row.record.seconds ?? 0);
  return rows.sort(
    (a, b) => place(a) - place(b) || pace(a) - pace(b) || a.name.localeCompare(b.name, 'en', { numeric: true }),
  );
}

/** The rows as a table of at most `width` cells; where they are many and not asked for, their rest as one line. */
export function agentLines(rows: readonly AgentRow[], width: number, showAll: boolean): string[] {
  if (rows.length === 0) return ['no agent has been asked yet'];
  const shown = showAll || rows.length <= unfolded ? rows : rows.slice(0, foldedTo);
  const rest = rows.slice(shown.length);
  return [
    ...fitTable(columns, shown, width),
    ...(rest.length === 0 ? [] : [restLine(rest)]),
    ...sentences(rows, width, showAll),
  ];
}

function restLine(rest: readonly AgentRow[]): string {
  const counts = order
    .map((state) => [state, rest.filter(({ record }) => record.state === state).length] as const)
    .filter(([, count]) => count > 0)
    .map(([state, count]) => `${count} ${state}`);
  return `and ${rest.length} more: ${counts.join(', ')}; --all shows them`;
}

/** A rehearsal trains nothing: its zeros are no measures. */
export const hasTrained = ({ loss = 0, initialLoss = 0, trainSeconds = 0 }: RoundAgentView): boolean =>
  loss !== 0 || initialLoss !== 0 || trainSeconds !== 0;
const told = (record: RoundAgentView, value: number | undefined): number | undefined =>
  hasTrained(record) ? value : undefined;

const number = (value: number | undefined, digits: number): string => value?.toFixed(digits) ?? '';
const spent = (value: number | undefined): string => (value === undefined ? '' : seconds(value));
const moved = (value: number): string => (value === 0 ? '' : bytes(value));

const columns: readonly Column<AgentRow>[] = [
  { title: 'site', rank: 0, least: 14, cell: ({ name }) => name },
  { title: 'state', rank: 0, cell: ({ record }) => record.state },
  { title: 'try', rank: 8, isNumber: true, cell: ({ record }) => (record.attempt > 1 ? String(record.attempt) : '') },
  { title: 'doing', rank: 1, cell: doing },
  { title: 'examples', rank: 4, isNumber: true, cell: ({ record }) => number(record.exampleCount, 0) },
  {
    title: 'loss',
    rank: 3,
    isNumber: true,
    cell: ({ record, live }) => number(told(record, record.loss) ?? lossOf(live), 3),
  },
  { title: 'up', rank: 5, isNumber: true, cell: ({ record }) => moved(record.bytesUp) },
  { title: 'down', rank: 6, isNumber: true, cell: ({ record }) => moved(record.bytesDown) },
  { title: 'took', rank: 2, isNumber: true, cell: ({ record }) => spent(record.seconds) },
  { title: 'fetch', rank: 9, isNumber: true, cell: ({ record }) => spent(told(record, record.fetchSeconds)) },
  { title: 'features', rank: 10, isNumber: true, cell: ({ record }) => spent(told(record, record.featureSeconds)) },
  { title: 'train', rank: 7, isNumber: true, cell: ({ record }) => spent(told(record, record.trainSeconds)) },
  { title: 'seal', rank: 11, isNumber: true, cell: ({ record }) => spent(told(record, record.sealSeconds)) },
  { title: 'rest', rank: 12, isNumber: true, cell: ({ record }) => spent(restSeconds(record)) },
  { title: 'stale', rank: 5.5, isNumber: true, cell: ({ record }) => staleness(record) },
  { title: 'why', rank: 0, least: 13, cell: why },
];

/** What an agent at work said last; an agent that has answered does nothing for this round. */
function doing({ record, live }: AgentRow): string {
  if (live === undefined) return '';
  if (atWork.has(record.state) && !live.connected) return 'away';
  if (live.activity === undefined) return '';
  const isEvaluating = live.activity === 'evaluating' && record.state === 'accepted';
  if (!atWork.has(record.state) && !isEvaluating) return '';
  return `${live.activity} ${Math.round((live.progress ?? 0) * 100)} %`;
}

const lossOf = (live: Live | undefined): number | undefined => (live?.activity === 'training' ? live.loss : undefined);

/** From plan to answer, without the parts that the agent told: waiting, upload and report. */
function restSeconds(record: RoundAgentView): number | undefined {
  if (record.seconds === undefined || record.trainSeconds === undefined || !hasTrained(record)) return undefined;
  const { fetchSeconds = 0, featureSeconds = 0, trainSeconds, sealSeconds = 0 } = record;
  return Math.max(0, record.seconds - fetchSeconds - featureSeconds - trainSeconds - sealSeconds);
}

const staleness = ({ staleness: rounds }: RoundAgentView): string => ((rounds ?? 0) === 0 ? '' : String(rounds));

/** The word for what went wrong; sentences stand below the table. */
function why({ record }: AgentRow): string {
  return record.reason ?? (failureOf(record) === undefined ? '' : 'not evaluated');
}

function failureOf({ evaluation }: RoundAgentView): string | undefined {
  return evaluation !== undefined && 'failed' in evaluation ? String(evaluation.failed) : undefined;
}

/** Sentences of what went wrong at each agent, in lines of at most `width`. */
function sentences(rows: readonly AgentRow[], width: number, showAll: boolean): string[] {
  const told = rows.flatMap(({ name, record }) => {
    const message = record.message ?? failureOf(record) ?? '';
    return message === '' ? [] : [plain(`${name}: ${message}`)];
  });
  const shown = showAll ? told : told.slice(0, shownSentences);
  const rest = told.length - shown.length;
  return [
    ...(shown.length === 0 ? [] : ['']),
    ...shown.flatMap((sentence) => wrap(sentence, width, 2)),
    ...(rest > 0 ? [`and ${rest} more like these; --all shows them`] : []),
  ];
}
