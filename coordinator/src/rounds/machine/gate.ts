/**
 * The gate: which precision of a candidate may be released, and whether it may be at all.
 * A candidate may not be worse than the release it replaces by more than the margins, overall and at the worst site;
 * INT8 may not be worse than fp32 by more than its margin, else fp32 is what stands for the candidate.
 */
import type { PrecisionMeasures } from '../rounds.js';
import type { CentralEvaluation, GateMargins, QuantizedCandidate, ReleasedMeasures, SiteMeasures } from './state.js';

export type Precision = 'fp32' | 'int8';

/** What is known of one precision of a candidate; accuracies in [0, 1]. */
export interface CandidateMeasures {
  readonly accuracy: number;
  readonly loss: number;
  readonly examples: number;
  readonly worstSiteAccuracy?: number;
  readonly worstSite?: string;
  readonly latencyP50Ms?: number;
  readonly latencyP95Ms?: number;
  readonly sizeBytes?: number;
}

export interface GateCheck {
  readonly name: 'int8-accuracy' | 'accuracy' | 'worst-site-accuracy' | 'measured';
  readonly passed: boolean;
  /** The value and the least it had to be; absent where there was nothing to measure. */
  readonly value?: number;
  readonly limit?: number;
  readonly message: string;
}

export interface GateDecision {
  readonly passed: boolean;
  readonly precision: Precision;
  readonly checks: readonly GateCheck[];
  readonly fp32?: CandidateMeasures;
  readonly int8?: CandidateMeasures;
  /** Mean KL(fp32 || int8) in nats. */
  readonly kl?: number;
}

export interface GateInput {
  readonly margins: GateMargins;
  readonly central: CentralEvaluation | undefined;
  /** Measures of each site that answered. */
  readonly sites: Readonly<Record<string, SiteMeasures>>;
  readonly quantized: QuantizedCandidate | undefined;
  readonly released: ReleasedMeasures | undefined;
}

export function decideGate(input: GateInput): GateDecision {
  const fp32 = measuresOf(input, 'fp32');
  if (fp32 === undefined) {
    const message = 'no examples were evaluated, neither here nor at a site, so nothing is released';
    return { passed: false, precision: 'fp32', checks: [{ name: 'measured', passed: false, message }] };
  }
  const int8 = measuresOf(input, 'int8');
  const checks: GateCheck[] = [];
  const precision = choosePrecision(input, { fp32, int8 }, checks);
  const chosen = precision === 'int8' && int8 !== undefined ? int8 : fp32;
  const { released, margins } = input;
  if (released !== undefined) {
    checks.push(floor('accuracy', chosen.accuracy, released.accuracy - margins.margin));
    if (released.worstSiteAccuracy !== undefined && chosen.worstSiteAccuracy !== undefined) {
      const limit = released.worstSiteAccuracy - margins.worstSiteMargin;
      checks.push(floor('worst-site-accuracy', chosen.worstSiteAccuracy, limit));
    }
  }
  // The choice of precision is not a reason to refuse: fp32 stands in for an INT8 that lost too much.
  const passed = checks.every((check) => check.passed || check.name === 'int8-accuracy');
  const kl = klOf(input);
  return { passed, precision, checks, fp32, ...(int8 && { int8 }), ...(kl !== undefined && { kl }) };
}

function choosePrecision(
  { margins, quantized }: GateInput,
  { fp32, int8 }: { fp32: CandidateMeasures; int8: CandidateMeasures | undefined },
  checks: GateCheck[],
): Precision {
  if (int8 === undefined) {
    const message = quantized !== undefined && 'none' in quantized ? quantized.none : 'INT8 was not measured';
    checks.push({ name: 'int8-accuracy', passed: false, message });
    return 'fp32';
  }
  const check = floor('int8-accuracy', int8.accuracy, fp32.accuracy - margins.int8Margin);
  checks.push(check);
  return check.passed ? 'int8' : 'fp32';
}

/** Accuracies are ratios of counts: a difference below this is rounding, not a worse model. */
const accuracyRounding = 1e-9;

function floor(name: GateCheck['name'], value: number, limit: number): GateCheck {
  const passed = value >= limit - accuracyRounding;
  const message = `${name} is ${value.toFixed(4)}, ${passed ? 'at least' : 'below'} ${limit.toFixed(4)}`;
  return { name, passed, value, limit, message };
}

/** Central measures where there are any, else the sites' pooled by example counts; the worst site in any case. */
function measuresOf(input: GateInput, precision: Precision): CandidateMeasures | undefined {
  const sites = Object.entries(input.sites).flatMap(([site, measures]) => {
    const own = measures[precision];
    return own !== undefined && own.examples > 0 ? [{ site, own }] : [];
  });
  const central = input.central !== undefined && 'fp32' in input.central ? input.central[precision] : undefined;
  const overall = central !== undefined && central.examples > 0 ? central : pooled(sites.map(({ own }) => own));
  if (overall === undefined) return undefined;
  const worst = sites.reduce<{ site: string; accuracy: number } | undefined>((least, { site, own }) => {
    const accuracy = own.correct / own.examples;
    return least === undefined || accuracy < least.accuracy ? { site, accuracy } : least;
  }, undefined);
  const size = sizeOf(input.quantized, precision);
  return {
    accuracy: overall.correct / overall.examples,
    loss: overall.lossSum / overall.examples,
    examples: overall.examples,
    latencyP50Ms: overall.latencyP50Ms,
    latencyP95Ms: overall.latencyP95Ms,
    ...(worst && { worstSiteAccuracy: worst.accuracy, worstSite: worst.site }),
    ...(size !== undefined && { sizeBytes: size }),
  };
}

function pooled(all: readonly PrecisionMeasures[]): PrecisionMeasures | undefined {
  if (all.length === 0) return undefined;
  const sum = (pick: (measures: PrecisionMeasures) => number): number =>
    all.reduce((total, measures) => total + pick(measures), 0);
  return {
    examples: sum((m) => m.examples),
    correct: sum((m) => m.correct),
    lossSum: sum((m) => m.lossSum),
    // Latencies of different machines do not pool; the slowest site is the honest figure.
    latencyP50Ms: Math.max(...all.map((m) => m.latencyP50Ms)),
    latencyP95Ms: Math.max(...all.map((m) => m.latencyP95Ms)),
  };
}

function sizeOf(quantized: QuantizedCandidate | undefined, precision: Precision): number | undefined {
  if (quantized === undefined || 'none' in quantized) return undefined;
  return precision === 'int8' ? quantized.sizeBytesInt8 : quantized.sizeBytesFp32;
}

function klOf({ central, sites }: GateInput): number | undefined {
  const own = central !== undefined && 'fp32' in central && central.int8 !== undefined ? [central] : [];
  const measured = own.length > 0 ? own : Object.values(sites).filter((site) => site.int8 !== undefined);
  const examples = measured.reduce((total, measures) => total + (measures.int8?.examples ?? 0), 0);
  if (examples === 0) return undefined;
  return measured.reduce((total, measures) => total + measures.klSum, 0) / examples;
}
