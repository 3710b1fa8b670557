/** Values out of reports, made fit for the state: finite, short, consistent. What an agent says is not trusted. */
import type { UpdateManifest } from '@graft/protos/messages';

import type { SiteMeasures, UpdateSummary } from './machine/state.js';
import type { EvaluationReport, PrecisionMeasures } from './rounds.js';

/** Stands for an update whose manifest could not be read. */
export const noUpdate: UpdateSummary = {
  nonce: '',
  exampleCount: 0,
  loss: 0,
  initialLoss: 0,
  norm: 0,
  bytes: 0,
  trainMs: 0,
  featureMs: 0,
};

/** @param norm L2 norm of the delta, 0 where it was not opened */
export function summaryOf(manifest: UpdateManifest, norm: number): UpdateSummary {
  const { training } = manifest;
  return {
    // Its length is checked when the envelope is opened; until then it must not fill the state.
    nonce: hex(manifest.sessionNonce.subarray(0, 32)),
    exampleCount: finite(manifest.exampleCount),
    loss: finite(training?.loss ?? 0),
    initialLoss: finite(training?.initialLoss ?? 0),
    norm,
    bytes: finite(manifest.ciphertext?.sizeBytes ?? 0),
    trainMs: finite(training?.trainMs ?? 0),
    featureMs: finite(training?.featureMs ?? 0),
    ...(training && { fetchMs: finite(training.fetchMs ?? 0), sealMs: finite(training.sealMs ?? 0) }),
  };
}

/** The measures of a report, or one sentence that says why they are none. */
export function cleanMeasures({ fp32, int8, klSum }: EvaluationReport): SiteMeasures | string {
  if (fp32 === null || fp32 === undefined) return 'the report has no fp32 measures';
  const wrong = problemOf('fp32', fp32) ?? (int8 ? problemOf('int8', int8) : undefined);
  if (wrong !== undefined) return wrong;
  if (int8 && int8.examples !== fp32.examples) {
    return `int8 was measured on ${int8.examples} examples, fp32 on ${fp32.examples}`;
  }
  if (Number.isNaN(klSum) || klSum < 0) return `klSum is ${klSum}`;
  return { fp32: cleaned(fp32), ...(int8 && { int8: cleaned(int8) }), klSum: finite(klSum) };
}

function problemOf(precision: string, measures: PrecisionMeasures): string | undefined {
  const { examples, correct, lossSum } = measures;
  if (!Number.isSafeInteger(examples) || examples < 0) return `${precision}.examples is ${examples}`;
  if (!Number.isSafeInteger(correct) || correct < 0 || correct > examples) {
    return `${precision}.correct is ${correct} of ${examples}`;
  }
  if (Number.isNaN(lossSum) || lossSum < 0) return `${precision}.lossSum is ${lossSum}`;
  return undefined;
}

function cleaned({ examples, correct, lossSum, latencyP50Ms, latencyP95Ms }: PrecisionMeasures): PrecisionMeasures {
  return {
    examples,
    correct,
    lossSum: finite(lossSum),
    latencyP50Ms: finite(latencyP50Ms),
    latencyP95Ms: finite(latencyP95Ms),
  };
}

/** JSON has no Infinity: a loss that overflowed stays the worst there is, what is no number at all counts as that too. */
function finite(value: number): number {
  if (Number.isNaN(value)) return Number.MAX_VALUE;
  return Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, value));
}

/**
 * Text of an agent for state and log, at most `length` characters. PostgreSQL takes no NUL and no half of a surrogate pair
 * (an agent may send one, cutting may leave the other): U+FFFD stands for them.
 */
export function shorten(text: string, length: number): string {
  const short = text.length <= length ? text : `${text.slice(0, length - 1)}…`;
  return short.replace(/[\0\p{Surrogate}]/gu, '\uFFFD');
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
