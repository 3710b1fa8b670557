/** What becomes of an agent's reports: checked here, decided by the machine of the run, answered with a verdict. */
import { GraftError } from '@graft/core/error';
import type { UpdateManifest } from '@graft/protos/messages';
import type { readManifest } from '@graft/protos/sealed/admit-manifest.adapter';
import { ciphertextBytes } from '@graft/protos/sealed/envelope';

import type { BlobStore } from '../blobs/blob-store.js';
import type { Aggregator } from '../compute/aggregation.js';
import { checkManifest } from './admission.js';
import type { EngineStore } from './engine-store.js';
import { acceptedVerdict, refusedVerdict } from './machine/effect.js';
import type { Refusal } from './machine/event.js';
import { step } from './machine/machine.js';
import { keyOf, type StoredRun } from './material.js';
import { cleanMeasures, shorten, summaryOf } from './report-values.js';
import { openSecretKey } from './round-keys.adapter.js';
import type { EvaluationReport, FailureReport, InstalledReport, Verdict } from './rounds.js';
import type { RunDoors } from './run-doors.driver.js';
import type { Checked } from './run-message.js';

export interface ReportDependencies {
  readonly store: Pick<EngineStore, 'signingKey' | 'runIs' | 'wasAccepted' | 'instruction' | 'settleInstall'>;
  readonly blobs: Pick<BlobStore, 'has'>;
  readonly aggregator: Pick<Aggregator, 'open'>;
  readonly masterKey: Uint8Array;
  readonly readManifest: typeof readManifest;
  readonly runs: RunDoors;
}

export async function receiveUpdate(
  agentId: string,
  report: { readonly manifest: Uint8Array; readonly signature: Uint8Array },
  dependencies: ReportDependencies,
): Promise<Verdict> {
  const { store, runs } = dependencies;
  const signingKey = await store.signingKey(agentId);
  if (signingKey === undefined) return refusedVerdict('bad-signature', `agent ${agentId} has no key here`);
  const read = dependencies.readManifest(report, { agentId, signingKey });
  if (!read.admitted) return refuseUnread(agentId, read, dependencies);
  const { manifest } = read;
  const { runId, round } = manifest;
  const { nonce } = summaryOf(manifest, 0);
  const run = await runs.look(runId, round);
  // An update of a round that is over gets the same verdict as then where it was accepted.
  const isPast = run === undefined || round < run.machine.round;
  if (isPast && (await store.wasAccepted({ runId, round, agentId, nonce }))) return acceptedVerdict;
  if (run === undefined) return unknownRun(runId, store);
  const bytes = report.manifest;
  const checked = await admit(agentId, manifest, run, { ...dependencies, manifestBytes: bytes });
  const key = `update/${round}/${agentId}/${nonce}`;
  const answer = await runs.tell(runId, key, { kind: 'update', agentId, manifest, bytes, checked });
  if (answer === undefined) return unknownRun(runId, store);
  return answer.verdict ?? refusedVerdict('unknown-round', 'the run takes no reports');
}

/** Everything that is checked outside the machine's turn, cheapest first; the envelope is opened last. */
async function admit(
  agentId: string,
  manifest: UpdateManifest,
  run: StoredRun,
  { blobs, aggregator, masterKey, manifestBytes }: ReportDependencies & { readonly manifestBytes: Uint8Array },
): Promise<Checked> {
  const { machine, material } = run;
  const update = summaryOf(manifest, 0);
  const wanted = step(machine, { kind: 'updateReceived', agentId, round: manifest.round, update, atMs: machine.atMs });
  if (wanted.verdict?.accepted !== true || wanted.effects.length === 0) return { kind: 'settled' };
  const { taskId, layoutHash, parameterCount } = material;
  const bytes = ciphertextBytes(parameterCount * Float32Array.BYTES_PER_ELEMENT);
  const expected = { taskId, agentId, layoutHash, parameterCount, ciphertextBytes: bytes };
  const refusal = checkManifest(manifest, expected, machine);
  if (refusal !== undefined) return { kind: 'refused', refusal };
  const { ciphertext } = manifest;
  if (ciphertext === null || (await blobs.has(ciphertext.hash)) !== ciphertext.sizeBytes) {
    const message = `the sealed update ${ciphertext?.hash.slice(0, 12) ?? ''} is not uploaded whole`;
    return { kind: 'refused', refusal: { reason: 'incomplete', message } };
  }
  const roundKey = keyOf(run, manifest.round);
  if (roundKey === undefined) throw new GraftError('INTERNAL', `round ${manifest.round} has no key`);
  const sealed = { agentId, manifest: manifestBytes, ciphertext, exampleCount: manifest.exampleCount };
  const roundSecretKey = openSecretKey(roundKey, masterKey);
  return { kind: 'opened', opened: await aggregator.open({ update: sealed, roundSecretKey, parameterCount }) };
}

/** A manifest that cannot be trusted names no round; it counts for the one that waits for this agent. */
async function refuseUnread(
  agentId: string,
  { reason, message }: Refusal,
  { runs }: ReportDependencies,
): Promise<Verdict> {
  for (const { machine } of await runs.training(agentId)) {
    const member = machine.members[agentId];
    if (member?.state !== 'selected' && member?.state !== 'training') continue;
    const key = `unread/${machine.round}/${agentId}`;
    const refusal = { reason, message };
    const answer = await runs.tell(machine.plan.runId, key, { kind: 'unread', agentId, refusal });
    return answer?.verdict ?? refusedVerdict(reason, message);
  }
  return refusedVerdict(reason, message);
}

export async function receiveFailure(
  agentId: string,
  report: FailureReport,
  { store, runs }: ReportDependencies,
): Promise<Verdict> {
  const { runId, round } = report;
  const code = shorten(report.code, 64);
  const message = shorten(report.message, 1000);
  const id = shorten(report.instructionId, 64);
  const instruction = await store.instruction(id, agentId);
  if (instruction?.kind === 'install') {
    await store.settleInstall(id, agentId, { failed: `${code}: ${message}` });
    return acceptedVerdict;
  }
  if (!(await runs.isOpen(runId))) return unknownRun(runId, store);
  const key = `failure/${round}/${agentId}/${id}`;
  const answer = await runs.tell(runId, key, { kind: 'failure', agentId, round, code, message });
  if (answer === undefined) return unknownRun(runId, store);
  return answer.verdict ?? acceptedVerdict;
}

export async function receiveEvaluation(
  agentId: string,
  report: EvaluationReport,
  { store, runs }: ReportDependencies,
): Promise<Verdict> {
  const { runId, round } = report;
  if (!(await runs.isOpen(runId))) return unknownRun(runId, store);
  const measures = cleanMeasures(report);
  const key = `evaluation/${round}/${agentId}/${shorten(report.instructionId, 64)}`;
  const answer = await runs.tell(
    runId,
    key,
    typeof measures === 'string'
      ? { kind: 'failure', agentId, round, code: 'malformed', message: measures }
      : { kind: 'evaluation', agentId, round, measures },
  );
  if (answer === undefined) return unknownRun(runId, store);
  const verdict = answer.verdict ?? acceptedVerdict;
  return verdict.accepted && typeof measures === 'string' ? refusedVerdict('malformed', measures) : verdict;
}

export async function receiveInstalled(
  agentId: string,
  report: InstalledReport,
  { store }: ReportDependencies,
): Promise<Verdict> {
  const instruction = await store.instruction(report.instructionId, agentId);
  if (instruction?.kind !== 'install') {
    const id = shorten(report.instructionId, 64);
    return refusedVerdict('unknown-round', `agent ${agentId} has no instruction ${id} to install a release`);
  }
  await store.settleInstall(report.instructionId, agentId, {});
  return acceptedVerdict;
}

/** A report for a run that is not in hand here. Rejects, to be sent again, where another coordinator has it or will. */
async function unknownRun(runId: string, store: ReportDependencies['store']): Promise<Verdict> {
  const id = shorten(runId, 64);
  const is = await store.runIs(runId);
  if (is === 'open') throw new GraftError('UNAVAILABLE', `run ${id} is not in this coordinator's hands; report again`);
  return is === 'over'
    ? refusedVerdict('late', `run ${id} is over`)
    : refusedVerdict('unknown-round', `no run ${id} is known here`);
}
