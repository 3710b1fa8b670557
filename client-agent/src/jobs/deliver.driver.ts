/** Sends a finished report to the coordinator and brings back its verdict. What leaves the site is logged before it leaves. */
import type { FederationClient } from '@graft/protos/clients.adapter';
import type * as wire from '@graft/protos/messages';

import { isOutOfStep } from '../daemon/call-errors.js';
import type { DaemonEvent } from '../daemon/daemon-events.js';
import type { OutboxRecord } from '../daemon/outbox.adapter.js';
import type { SentEntry } from '../daemon/sent-log.adapter.js';
import type { AgentContext, JobControl } from './agent-context.js';

type RecordOf<Kind extends OutboxRecord['kind']> = Extract<OutboxRecord, { kind: Kind }>;

/** Rejects with the call's error; then the record stays in the outbox. */
export async function deliver(
  context: AgentContext,
  client: FederationClient,
  record: OutboxRecord,
  control: JobControl,
): Promise<wire.Verdict> {
  const { signal } = control;
  const { instructionId, runId, round } = record;
  switch (record.kind) {
    case 'update':
      return deliverUpdate(context, client, record, control);
    case 'evaluation': {
      const request = { instructionId, runId, round, ...record.request };
      await log(context, record, { what: 'evaluation', ...contentOf(request) });
      return client.reportEvaluation(request, { signal });
    }
    case 'failure': {
      const request = { instructionId, runId, round, code: record.code, message: record.message };
      await log(context, record, { what: 'failure', ...contentOf(request), note: record.code });
      return client.reportFailure(request, { signal });
    }
    default: {
      const request = { instructionId, releaseId: record.releaseId };
      await log(context, record, { what: 'installed', ...contentOf(request), note: record.releaseId });
      return client.reportInstalled(request, { signal });
    }
  }
}

async function deliverUpdate(
  context: AgentContext,
  client: FederationClient,
  record: RecordOf<'update'>,
  { signal, onProgress }: JobControl,
): Promise<wire.Verdict> {
  const { ciphertext, instructionId } = record;
  const file = context.outbox.sealedFile(instructionId);
  try {
    await context.transfers.send(
      client,
      { file, blob: ciphertext },
      {
        signal,
        onBegin: (bytes) =>
          log(context, record, {
            what: 'update',
            bytes,
            sha256: ciphertext.hash,
            ...(bytes < ciphertext.sizeBytes ? { note: `the rest of ${ciphertext.sizeBytes} bytes` } : {}),
          }),
        onProgress: (progress) => onProgress({ activity: 'uploading', progress }),
      },
    );
  } catch (error) {
    // The coordinator does not want these bytes (any more): its verdict on the report says why.
    if (!isOutOfStep(error)) throw error;
  }
  const request = { manifest: fromBase64(record.manifest), signature: fromBase64(record.signature) };
  await log(context, record, {
    what: 'update-report',
    bytes: request.manifest.length + request.signature.length,
    note: `${record.exampleCount} examples`,
  });
  return client.reportUpdate(request, { signal });
}

/** What people and `status` are told of a verdict. */
export function outcomeOf(record: OutboxRecord, { accepted, reason, message }: wire.Verdict): DaemonEvent | undefined {
  const common = { run: record.runId, round: record.round, accepted, reason };
  switch (record.kind) {
    case 'update':
      return {
        event: 'update-sent',
        ...common,
        ...(!accepted && message !== '' && { message }),
        examples: record.exampleCount,
        initialLoss: record.initialLoss ?? 0,
        loss: record.loss ?? 0,
        bytes: record.ciphertext.sizeBytes,
        ms: record.workMs,
      };
    case 'evaluation': {
      const { fp32, int8 } = record.request;
      return {
        event: 'evaluation-sent',
        ...common,
        examples: fp32.examples,
        accuracyFp32: fp32.correct / Math.max(1, fp32.examples),
        ...(int8 === undefined ? {} : { accuracyInt8: int8.correct / Math.max(1, int8.examples) }),
      };
    }
    default:
      return undefined;
  }
}

function log(context: AgentContext, record: OutboxRecord, entry: Omit<SentEntry, 'time' | 'to'>): Promise<void> {
  return context.sentLog.append({
    to: context.config.federation,
    run: record.runId,
    round: record.round,
    ...(record.kind === 'update' ? { task: record.taskId } : {}),
    ...entry,
  });
}

function contentOf(request: object): { readonly bytes: number } {
  return { bytes: JSON.stringify(request).length };
}

function fromBase64(text: string): Uint8Array {
  return Buffer.from(text, 'base64');
}
