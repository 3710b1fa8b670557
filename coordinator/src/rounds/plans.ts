/** The instructions that agents get, built from state and material; the wire's messages, without their ids. */
import { seedFrom } from '@graft/core/random';
import type { Pipeline } from '@graft/models/pipeline/pipeline';
import type * as wire from '@graft/protos/messages';

import type { RunState } from './machine/state.js';
import { withCheckpoint, type RunMaterial } from './material.js';

export interface RoundKey {
  readonly publicKey: Uint8Array;
  readonly signature: Uint8Array;
}

/** What an agent is asked to train. Its seed depends on run, round and agent, not on the try: the same work again gives the same bits. */
export function trainPlan(
  state: RunState,
  material: RunMaterial,
  key: RoundKey,
  to: { readonly agentId: string; readonly deadlineMs: number },
): wire.TrainPlan {
  const { plan, round, base } = state;
  const shared = {
    taskId: plan.taskId,
    runId: plan.runId,
    round,
    base: base.fp16,
    baseEncoding: 'fp16',
    layoutHash: material.layoutHash,
    roundKey: key.publicKey,
    roundKeySignature: key.signature,
    deadlineMs: Math.ceil(to.deadlineMs),
    ...plan.transfers,
  };
  if (material.kind === 'probe') return { ...shared, work: 'probe', probe: { add: material.add } };
  const fit = {
    pipeline: wirePipeline(withCheckpoint(material.pipeline, base.fp16)),
    training: material.training,
    seed: seedFrom('train', plan.seed, round, to.agentId),
    calibrateTrunk: material.pipeline.trunk !== undefined && state.frozenTrunk === undefined,
  };
  return { ...shared, work: 'fit', fit };
}

/**
 * What an agent is asked to measure: the round's candidate in both precisions. The fp32 pipeline takes its weights from the
 * fp16 file, which is the next round's base too: it travels once, and what is measured is what is released.
 */
export function evaluatePlan(
  state: RunState,
  material: RunMaterial,
  deadlineMs: number,
): wire.EvaluatePlan | undefined {
  const { plan, round, quantized } = state;
  const fp32 = candidatePipeline(state, material);
  if (fp32 === undefined) return undefined;
  const int8 = quantized !== undefined && 'pipeline' in quantized ? quantized.pipeline : undefined;
  return {
    taskId: plan.taskId,
    runId: plan.runId,
    round,
    fp32: wirePipeline(fp32),
    ...(int8 && { int8: wirePipeline(int8) }),
    deadlineMs: Math.ceil(deadlineMs),
  };
}

/** The round's candidate in fp32; undefined for a probe and before the fold. */
export function candidatePipeline(state: RunState, material: RunMaterial): Pipeline | undefined {
  if (material.kind === 'probe' || state.candidate === undefined) return undefined;
  return withCheckpoint(material.pipeline, state.candidate.fp16);
}

function wirePipeline({ preprocessing, trunk, tail, labels }: Pipeline): wire.Pipeline {
  return { preprocessing: JSON.stringify(preprocessing), ...(trunk && { trunk }), tail, labels };
}
