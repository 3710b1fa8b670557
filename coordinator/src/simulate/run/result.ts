/** What a simulation tells: a line for every committed round, and what it comes to at the end. */
import type { RoundRecord } from '../../rounds/machine/record.js';
import type { RunState } from '../../rounds/machine/state.js';

export interface RoundLine {
  readonly round: number;
  /** Virtual milliseconds since the start. */
  readonly atMs: number;
  /** On the coordinator's hold-out; absent for a probe. */
  readonly accuracy?: number;
  readonly loss?: number;
  /** Plans that were sent for this round, those of abandoned tries included. */
  readonly asked: number;
  readonly accepted: number;
  readonly refused: number;
  /** Asked, and nothing came of it in time: lost, failed or too late. */
  readonly dropped: number;
  /** How often the round was tried before. */
  readonly abandoned: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
}

export interface Fairness {
  /** Share of the agents that were asked at least once. */
  readonly everAsked: number;
  readonly most: number;
  /** (sum x)^2 / (n sum x^2) over how often each agent was asked: 1 where all were asked alike, 1/n where one was (Jain, Chiu, Hawe, 1984). */
  readonly jain: number;
}

export interface SimulationResult {
  readonly policy: string;
  readonly status: RunState['status'] | 'out of time';
  readonly reason: string;
  readonly rounds: number;
  readonly virtualMs: number;
  readonly wallMs: number;
  readonly accuracy?: number;
  /** Virtual milliseconds until a committed round was this accurate; null where none was. */
  readonly timeToAccuracyMs: Readonly<Record<string, number | null>>;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly updates: number;
  readonly asked: number;
  readonly fairness: Fairness;
}

export const milestones = [0.8, 0.9, 0.95];

export function roundLine(
  record: RoundRecord,
  { atMs, asked }: { readonly atMs: number; readonly asked: number },
): RoundLine {
  const { updates, central } = record;
  const fp32 = central !== undefined && 'fp32' in central ? central.fp32 : undefined;
  return {
    round: record.round,
    atMs,
    ...(fp32 && { accuracy: fp32.correct / fp32.examples, loss: fp32.lossSum / fp32.examples }),
    asked,
    accepted: updates.accepted,
    refused: updates.refused,
    dropped: updates.lost + updates.paused + updates.failed + updates.stragglers,
    abandoned: record.abandoned.length,
    bytesUp: record.bytesUp,
    bytesDown: record.bytesDown,
  };
}

export function resultOf(
  lines: readonly RoundLine[],
  run: Pick<SimulationResult, 'policy' | 'status' | 'reason' | 'virtualMs' | 'wallMs'> & {
    /** How often each agent was asked. */
    readonly timesAsked: readonly number[];
  },
): SimulationResult {
  const { timesAsked, ...told } = run;
  const sum = (of: (line: RoundLine) => number): number => lines.reduce((total, line) => total + of(line), 0);
  const last = lines.at(-1);
  return {
    ...told,
    rounds: lines.length,
    ...(last?.accuracy !== undefined && { accuracy: last.accuracy }),
    timeToAccuracyMs: Object.fromEntries(
      milestones.map((goal) => [
        String(goal),
        lines.find(({ accuracy }) => accuracy !== undefined && accuracy >= goal)?.atMs ?? null,
      ]),
    ),
    bytesUp: sum(({ bytesUp }) => bytesUp),
    bytesDown: sum(({ bytesDown }) => bytesDown),
    updates: sum(({ accepted }) => accepted),
    asked: timesAsked.reduce((total, times) => total + times, 0),
    fairness: fairnessOf(timesAsked),
  };
}

export function fairnessOf(times: readonly number[]): Fairness {
  const sum = times.reduce((total, value) => total + value, 0);
  const squares = times.reduce((total, value) => total + value * value, 0);
  return {
    everAsked: times.length === 0 ? 0 : times.filter((value) => value > 0).length / times.length,
    most: times.reduce((most, value) => Math.max(most, value), 0),
    jain: squares === 0 ? 1 : sum ** 2 / (times.length * squares),
  };
}
