/** What a Train instruction asks: verify the plan, fetch the model, have the trainer fit and seal, sign the manifest. */
import { GraftError } from '@graft/core/error';
import { blobsOf } from '@graft/models/pipeline/pipeline';
import { seedFrom } from '@graft/core/random';
import { encodeUpdateManifest } from '@graft/protos/message-codec.adapter';
import { signUpdate, verifyRoundKey } from '@graft/protos/identity/signatures.adapter';
import type * as wire from '@graft/protos/messages';

import type { OutboxRecord } from '../daemon/outbox.adapter.js';
import type { BaseCheckpoint, SealedUpdate, SealTo } from '../trainer/trainer-calls.js';
import type { AgentContext, JobControl } from './agent-context.js';
import { fetchBlobs } from './fetch-blobs.driver.js';
import { checkDeadline, readBase, readPipeline } from './plan.js';

interface Trained {
  readonly update: SealedUpdate;
  readonly exampleCount: number;
  readonly report?: wire.TrainingReport;
}

/**
 * The finished update as a record of the outbox; its sealed file lies beside it.
 * @throws PLAN_REFUSED before anything is fetched or trained where the plan does not verify
 */
export async function train(
  context: AgentContext,
  { id, plan }: { readonly id: string; readonly plan: wire.TrainPlan },
  control: JobControl,
): Promise<OutboxRecord> {
  const { config, outbox, connection, nowMs } = context;
  const { taskId, runId, round } = plan;
  const startedAtMs = nowMs();
  checkDeadline(plan.deadlineMs, startedAtMs, connection.skewMs);
  if (!verifyRoundKey(context.identityKey, plan, plan.roundKeySignature)) {
    throw new GraftError('PLAN_REFUSED', `the key of round ${round} is not signed by the coordinator of this site`);
  }
  const base = readBase(plan);
  context.transfers.limit(plan);
  await outbox.folder(id);
  const seal: SealTo = {
    context: {
      taskId,
      runId,
      round,
      agentId: config.agentId,
      baseHash: base.blob.hash,
      layoutHash: base.layoutHash,
    },
    roundKey: plan.roundKey,
    roundKeySignature: plan.roundKeySignature,
    identityKey: context.identityKey,
    file: outbox.sealedFile(id),
  };
  const { update, exampleCount, report } = await work(context, { plan, base, seal }, control);
  const manifest = encodeUpdateManifest({
    ...seal.context,
    exampleCount,
    ...update,
    ...(report === undefined ? {} : { training: report }),
  });
  return {
    kind: 'update',
    instructionId: id,
    taskId,
    runId,
    round,
    atMs: nowMs(),
    manifest: toBase64(manifest),
    signature: toBase64(signUpdate(context.signingKey, manifest)),
    ciphertext: update.ciphertext,
    exampleCount: report === undefined ? 0 : exampleCount,
    initialLoss: report?.initialLoss ?? null,
    loss: report?.loss ?? null,
    workMs: nowMs() - startedAtMs,
  };
}

interface Checked {
  readonly plan: wire.TrainPlan;
  readonly base: BaseCheckpoint;
  readonly seal: SealTo;
}

async function work(context: AgentContext, { plan, base, seal }: Checked, control: JobControl): Promise<Trained> {
  const { config, places, trainer, nowMs } = context;
  if (plan.work === 'probe') {
    await fetchBlobs(context, [base.blob], control);
    const input = { blobs: places.blobs, base, add: plan.probe.add, seal };
    return { update: await trainer.call('probe', input, control), exampleCount: 1 };
  }
  if (plan.work !== 'fit')
    throw new GraftError('PLAN_REFUSED', 'the plan asks for work that this version does not know');
  const pipeline = readPipeline(plan.fit.pipeline, 'pipeline');
  const startedAtMs = nowMs();
  await fetchBlobs(context, [...blobsOf(pipeline), base.blob], control);
  const fetchMs = Math.max(0, nowMs() - startedAtMs);
  const trained = await trainer.call(
    'fit',
    {
      places,
      pipeline,
      base,
      training: plan.fit.training,
      seed: seedFrom(plan.fit.seed, config.agentId, plan.round),
      calibrateTrunk: plan.fit.calibrateTrunk,
      seal,
    },
    control,
  );
  return { ...trained, report: { ...trained.report, fetchMs } };
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
