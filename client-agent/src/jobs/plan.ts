/** From the wire's plans to what the trainer is asked: everything that comes from outside is checked here, once. */
import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import { blobRefSchema, pipelineSchema, type BlobRef, type Pipeline } from '@graft/models/pipeline/pipeline';
import type * as wire from '@graft/protos/messages';

import type { BaseCheckpoint } from '../trainer/trainer-calls.js';

/** Throws PLAN_REFUSED that names the first field that is wrong. */
export function readPipeline(pipeline: wire.Pipeline | null, where: string): Pipeline {
  if (pipeline === null) throw new GraftError('PLAN_REFUSED', `the plan has no ${where}`);
  const { trunk, tail, labels } = pipeline;
  const parsed = pipelineSchema.safeParse({
    preprocessing: parseJson(pipeline.preprocessing, `${where}.preprocessing`),
    ...(trunk ? { trunk } : {}),
    tail,
    labels,
  });
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new GraftError('PLAN_REFUSED', `${where}.${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'is not valid'}`);
}

/** Throws PLAN_REFUSED where the base is missing, or of an encoding that this agent does not read. */
export function readBase(plan: Pick<wire.TrainPlan, 'base' | 'baseEncoding' | 'layoutHash'>): BaseCheckpoint {
  const { baseEncoding, layoutHash } = plan;
  const blob: BlobRef | undefined = blobRefSchema.safeParse(plan.base).data;
  if (blob === undefined) throw new GraftError('PLAN_REFUSED', 'the plan names no base checkpoint');
  if (baseEncoding !== 'fp16' && baseEncoding !== 'fp32') {
    throw new GraftError('PLAN_REFUSED', `the base's encoding '${baseEncoding}' is neither fp16 nor fp32`);
  }
  if (!/^[0-9a-f]{64}$/.test(layoutHash)) throw new GraftError('PLAN_REFUSED', `'${layoutHash}' is no layout hash`);
  return { blob, encoding: baseEncoding, layoutHash };
}

/**
 * Throws PLAN_REFUSED where the deadline has passed.
 * @param skewMs the coordinator's clock minus ours
 */
export function checkDeadline(deadlineMs: number, atMs: number, skewMs: number): void {
  const late = atMs + skewMs - deadlineMs;
  if (late > 0)
    throw new GraftError('PLAN_REFUSED', `the round's deadline passed ${late} ms ago`, { details: { late } });
}

/** Throws CLOCK_SKEW where the two clocks differ by more than the limit. */
export function checkSkew(skewMs: number): void {
  if (Math.abs(skewMs) <= limits.clockSkewMs) return;
  const direction = skewMs > 0 ? 'behind' : 'ahead of';
  throw new GraftError(
    'CLOCK_SKEW',
    `this site's clock is ${Math.round(Math.abs(skewMs) / 1000)} s ${direction} the coordinator's, the limit is ${limits.clockSkewMs / 1000} s`,
    { details: { skewMs } },
  );
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new GraftError('PLAN_REFUSED', `${where} is not JSON`, { cause });
  }
}
