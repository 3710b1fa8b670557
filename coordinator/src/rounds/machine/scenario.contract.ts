/** Plans, checkpoints, updates and measures for specs of the machine. */
import type { Checkpoint, RunPlan, SiteMeasures, UpdateSummary } from './state.js';

export function planOf(changes: Partial<RunPlan> = {}): RunPlan {
  return {
    runId: 'run',
    taskId: 'task',
    kind: 'fit',
    rounds: 2,
    seed: 7,
    cohort: { min: 2, goal: 2, max: 2 },
    window: { minMs: 0, maxMs: 1000 },
    gatherMs: 1000,
    evaluationMs: 1000,
    lostAfterMs: 300,
    attempts: 3,
    retryMs: 500,
    extensions: 0,
    limits: { maxExamples: 1000, maxNormRatio: 10 },
    gate: { margin: 0.01, worstSiteMargin: 0.05, int8Margin: 0.01 },
    holdOut: false,
    policy: { kind: 'synchronous' },
    selection: { tags: [], order: { kind: 'random' } },
    deadline: {},
    ...changes,
  };
}

export function checkpoint(round: number): Checkpoint {
  const hash = String(round).padStart(64, '0');
  return { round, weights: { hash, sizeBytes: 4 }, fp16: { hash, sizeBytes: 2 } };
}

export function updateOf(nonce: string): UpdateSummary {
  return {
    nonce,
    exampleCount: 10,
    loss: 0.5,
    initialLoss: 1,
    norm: 1,
    bytes: 100,
    trainMs: 10,
    featureMs: 5,
  };
}

export function measures(correct: number, examples: number, int8Correct = correct): SiteMeasures {
  const of = (hits: number): SiteMeasures['fp32'] => ({
    examples,
    correct: hits,
    lossSum: examples / 2,
    latencyP50Ms: 1,
    latencyP95Ms: 2,
  });
  return { fp32: of(correct), int8: of(int8Correct), klSum: examples / 100 };
}
