/** What the demo prints at its end, from what was measured. Pure. */
import { bytes, duration, share } from '../output/format.js';
import { table } from '../output/table.js';
import { phasesShown } from '../runs/round-line.js';

export interface RoundResult {
  readonly round: number;
  readonly accuracy: number;
  readonly worstSiteAccuracy: number;
  readonly loss: number;
  readonly seconds: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
}

export interface PrecisionResult {
  readonly accuracy: number;
  readonly sizeBytes: number;
  readonly latencyP50Ms: number;
  readonly latencyP95Ms: number;
}

export interface DemoResult {
  readonly seconds: number;
  readonly banks: readonly string[];
  readonly rounds: readonly RoundResult[];
  readonly alone: readonly number[];
  readonly pooled: number;
  /** Pooled data on a backbone of random weights; measured with --control only. */
  readonly control?: number;
  readonly release: {
    readonly id: string;
    readonly precision: 'int8' | 'fp32';
    readonly reason: string;
    readonly kl: number;
    readonly fp32: PrecisionResult;
    readonly int8?: PrecisionResult;
  };
}

/** The object that `--json` ends with. */
export function resultEvent(result: DemoResult): object {
  const { release } = result;
  return {
    event: 'result',
    seconds: result.seconds,
    rounds: result.rounds,
    accuracy: {
      alone: result.alone,
      federated: result.rounds.at(-1)?.accuracy,
      pooled: result.pooled,
      ...(result.control === undefined ? {} : { control: result.control }),
    },
    release: {
      id: release.id,
      precision: release.precision,
      accuracyFp32: release.fp32.accuracy,
      accuracyInt8: release.int8?.accuracy,
      kl: release.kl,
      sizeBytesFp32: release.fp32.sizeBytes,
      sizeBytesInt8: release.int8?.sizeBytes,
      latencyP50MsFp32: release.fp32.latencyP50Ms,
      latencyP50MsInt8: release.int8?.latencyP50Ms,
    },
  };
}

/** Rounds that the table shows: the first, the middle and the last. */
export function shownRounds(rounds: readonly RoundResult[]): RoundResult[] {
  const last = rounds.length;
  return rounds.filter(({ round }) => round === 1 || round === Math.ceil(last / 2) || round === last);
}

export function resultLines(result: DemoResult): string[] {
  const mean = result.alone.reduce((sum, value) => sum + value, 0) / result.alone.length;
  const accuracy = [
    ...result.banks.map((bank, index) => [`${bank} alone`, share(result.alone[index])]),
    ['a bank alone, mean', share(mean)],
    ...shownRounds(result.rounds).map(({ round, accuracy: value }) => [`federation, round ${round}`, share(value)]),
    ['pooled data', share(result.pooled)],
    ...(result.control === undefined ? [] : [['pooled data, random backbone', share(result.control)]]),
  ];
  const { fp32, int8 } = result.release;
  const column = (name: string, one: PrecisionResult): string[] => [
    name,
    share(one.accuracy),
    bytes(one.sizeBytes),
    `${one.latencyP50Ms.toFixed(1)} ms`,
    `${one.latencyP95Ms.toFixed(1)} ms`,
  ];
  return [
    'Accuracy on 1,000 images that nobody trained on',
    ...table(['trained on', 'accuracy'], accuracy),
    '',
    'The release',
    ...table(
      ['precision', 'accuracy', 'size', 'p50', 'p95'],
      [column('fp32', fp32), ...(int8 === undefined ? [] : [column('int8', int8)])],
    ),
    `KL(fp32 || int8) ${result.release.kl.toFixed(4)} nats; released: ${result.release.precision} (${result.release.reason})`,
    `${result.rounds.length} rounds, ${duration(result.seconds * 1000)} in all`,
  ];
}

/** One line a round. */
export function roundLine(result: RoundResult, total: number, phases: Readonly<Record<string, number>>): string {
  const spent = phasesShown
    .flatMap((phase) => (phases[phase] === undefined ? [] : [`${phase} ${phases[phase].toFixed(1)}`]))
    .join(', ');
  return (
    `round ${String(result.round).padStart(String(total).length)}/${total}  accuracy ${share(result.accuracy)}  loss ${result.loss.toFixed(3)}` +
    `  worst site ${share(result.worstSiteAccuracy)}  up ${bytes(result.bytesUp)}  down ${bytes(result.bytesDown)}  ${result.seconds.toFixed(1)} s (${spent})`
  );
}
