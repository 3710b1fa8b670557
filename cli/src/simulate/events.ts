/** What the simulating process prints, one JSON object a line, and how people read it. */
import { bytes, duration, share } from '../output/format.js';
import { table } from '../output/table.js';

export interface BeginEvent {
  readonly event: 'begin';
  readonly policy: string;
  readonly agents: number;
  readonly parameters: number;
  readonly downBytes: number;
}

export interface RoundEvent {
  readonly event: 'round';
  readonly policy: string;
  readonly round: number;
  /** Virtual milliseconds since the start. */
  readonly atMs: number;
  readonly accuracy?: number;
  readonly loss?: number;
  readonly asked: number;
  readonly accepted: number;
  readonly refused: number;
  readonly dropped: number;
  readonly abandoned: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
}

export interface ResultEvent {
  readonly event: 'result';
  readonly policy: string;
  readonly status: string;
  readonly reason: string;
  readonly rounds: number;
  readonly virtualMs: number;
  readonly wallMs: number;
  readonly accuracy?: number;
  readonly timeToAccuracyMs: Readonly<Record<string, number | null>>;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly updates: number;
  readonly asked: number;
  readonly fairness: { readonly everAsked: number; readonly most: number; readonly jain: number };
}

export interface ErrorEvent {
  readonly event: 'error';
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, string | number | boolean>>;
}

export type SimulationEvent = BeginEvent | RoundEvent | ResultEvent | ErrorEvent;

/** Virtual time, or '-' where it never came. */
function virtual(ms: number | null | undefined): string {
  return ms === null || ms === undefined ? '-' : duration(ms);
}

export function beginLine({ policy, agents, parameters, downBytes }: BeginEvent): string {
  return `${policy}: ${agents} agents, ${parameters} parameters, ${bytes(downBytes)} down and ${bytes(parameters * 4)} up an update`;
}

export function simulatedRoundLine(line: RoundEvent, total: number): string {
  const { round, atMs, accuracy, asked, accepted, refused, dropped, abandoned } = line;
  return (
    `round ${String(round).padStart(String(total).length)}/${total}  ${virtual(atMs).padStart(11)}` +
    (accuracy === undefined ? '' : `  accuracy ${share(accuracy)}`) +
    `  asked ${asked}  answered ${accepted}  dropped ${dropped}` +
    (refused > 0 ? `  refused ${refused}` : '') +
    (abandoned > 0 ? `  tries abandoned ${abandoned}` : '') +
    `  up ${bytes(line.bytesUp)}  down ${bytes(line.bytesDown)}`
  );
}

/** One row a policy, and a sentence for each that did not complete. */
export function resultTable(results: readonly ResultEvent[], agents: number): string[] {
  const goals = Object.keys(results[0]?.timeToAccuracyMs ?? {});
  const measured = results.some(({ accuracy }) => accuracy !== undefined);
  const header = [
    'policy',
    ...(measured ? [...goals.map((goal) => `to ${Math.round(Number(goal) * 100)} %`), 'accuracy'] : []),
    'rounds',
    'virtual',
    'updates',
    'up an update',
    'down an agent',
    'asked at all',
    'fairness',
    'wall',
  ];
  const rows = results.map((result) => [
    result.policy,
    ...(measured ? [...goals.map((goal) => virtual(result.timeToAccuracyMs[goal])), share(result.accuracy)] : []),
    String(result.rounds),
    virtual(result.virtualMs),
    String(result.updates),
    bytes(Math.round(result.bytesUp / Math.max(1, result.updates))),
    bytes(Math.round(result.bytesDown / agents)),
    `${(result.fairness.everAsked * 100).toFixed(0)} %`,
    result.fairness.jain.toFixed(2),
    duration(result.wallMs),
  ]);
  const unfinished = results
    .filter(({ status }) => status !== 'completed')
    .map(({ policy, status, reason }) => `${policy} ended as ${status}${reason === '' ? '' : `: ${reason}`}`);
  return [...table(header, rows), ...unfinished];
}
