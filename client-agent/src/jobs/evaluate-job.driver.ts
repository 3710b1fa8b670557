/** What an Evaluate instruction asks: measure a candidate, in float32 and int8, on the site's held-out examples. */
import { blobsOf } from '@graft/models/pipeline/pipeline';
import type * as wire from '@graft/protos/messages';

import type { OutboxRecord } from '../daemon/outbox.adapter.js';
import type { AgentContext, JobControl } from './agent-context.js';
import { fetchBlobs } from './fetch-blobs.driver.js';
import { checkDeadline, readPipeline } from './plan.js';

/** The measures as a record of the outbox. Throws PLAN_REFUSED where the plan is not valid. */
export async function evaluate(
  context: AgentContext,
  { id, plan }: { readonly id: string; readonly plan: wire.EvaluatePlan },
  control: JobControl,
): Promise<OutboxRecord> {
  const { places, trainer, connection, nowMs } = context;
  checkDeadline(plan.deadlineMs, nowMs(), connection.skewMs);
  const fp32 = readPipeline(plan.fp32, 'fp32');
  const int8 = plan.int8 ? { int8: readPipeline(plan.int8, 'int8') } : {};
  await fetchBlobs(context, blobsOf(fp32, int8.int8), control);
  const measures = await trainer.call('evaluate', { places, fp32, ...int8 }, control);
  return {
    kind: 'evaluation',
    instructionId: id,
    runId: plan.runId,
    round: plan.round,
    atMs: nowMs(),
    request: { fp32: measures.fp32, klSum: measures.klSum, ...(measures.int8 ? { int8: measures.int8 } : {}) },
  };
}
