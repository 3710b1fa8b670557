/** What becomes of an agent's reports: checked here, decided by the machine, answered with a verdict. */
import { GraftError } from '@graft/core/error';
import type { UpdateManifest } from '@graft/protos/messages';
import { ciphertextBytes } from '@graft/protos/sealed/envelope';
import type { readManifest } from '@graft/protos/sealed/admit-manifest.adapter';

import type { BlobStore } from '../blobs/blob-store.js';
import type { Aggregator } from '../compute/aggregation.js';
import { checkManifest, checkOpened } from './admission.js';
import type { EngineStore } from './engine-store.js';
import { acceptedVerdict, refusedVerdict } from './machine/effect.js';
import type { Refusal } from './machine/event.js';
import { step } from './machine/machine.js';
import type { RunState, UpdateSummary } from './machine/state.js';
import { noUpdate, summaryOf, cleanMeasures, shorten } from './report-values.js';
import { openSecretKey } from './round-keys.adapter.js';
import type { EvaluationReport, FailureReport, InstalledReport, Verdict } from './rounds.js';
import type { RunOwner } from './run-owner.driver.js';

export interface ReportDependencies {
  readonly store: Pick<EngineStore, 'signingKey' | 'runIs' | 'wasAccepted' | 'instruction' | 'settleInstall'>;
  readonly blobs: Pick<BlobStore, 'has'>;
  readonly aggregator: Pick<Aggregator, 'open'>;
  readonly masterKey: Uint8Array;
  readonly readManifest: typeof readManifest;
  readonly owner: (runId: string) => RunOwner | undefined;
  readonly owners: () => readonly RunOwner[];
}

export async function receiveUpdate(
  agentId: string,
  report: { readonly manifest: Uint8Array; readonly signature: Uint8Array },
  dependencies: ReportDependencies,
): Promise<Verdict> {
  const signingKey = await dependencies.store.signingKey(agentId);
  if (signingKey === undefined) return refusedVerdict('bad-signature', `agent ${agentId} has no key here`);
  const read = dependencies.readManifest(report, { agentId, signingKey });
  if (!read.admitted) return refuseUnread(agentId, read, dependencies);
  const { manifest } = read;
  const owner = dependencies.owner(manifest.runId);
  if (owner === undefined || manifest.round < owner.current().machine.round) {
    const before = await verdictOfPast(agentId, manifest, dependencies.store);
    if (before !== undefined) return before;
  }
  if (owner === undefined) return unknownRun(manifest.runId, dependencies.store);
  const checked = await admit(agentId, manifest, owner, { ...dependencies, manifestBytes: report.manifest });
  const { ciphertext } = manifest;
  const { nonce } = summaryOf(manifest, 0);
  const result = await owner.feed(
    (state) => updateEvent(state, agentId, manifest, checked),
    ciphertext === null || checked.kind !== 'opened'
      ? {}
      : {
          report: {
            agentId,
            round: manifest.round,
            nonce,
            manifest: report.manifest,
            ciphertext,
            exampleCount: manifest.exampleCount,
          },
        },
  );
  return result?.verdict ?? refusedVerdict('unknown-round', 'the run takes no reports');
}

type Checked =
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  /** The machine has an answer without looking inside. */
  | { readonly kind: 'settled' }
  | { readonly kind: 'opened'; readonly opened: Awaited<ReturnType<Aggregator['open']>> };

/** Everything that is checked outside the machine's turn, cheapest first; the envelope is opened last. */
async function admit(
  agentId: string,
  manifest: UpdateManifest,
  owner: RunOwner,
  { blobs, aggregator, masterKey, manifestBytes }: ReportDependencies & { readonly manifestBytes: Uint8Array },
): Promise<Checked> {
  const { machine, material, roundKey } = owner.current();
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
  if (roundKey?.round !== manifest.round) throw new GraftError('INTERNAL', `round ${manifest.round} has no key`);
  const sealed = { agentId, manifest: manifestBytes, ciphertext, exampleCount: manifest.exampleCount };
  const roundSecretKey = openSecretKey(roundKey, masterKey);
  return { kind: 'opened', opened: await aggregator.open({ update: sealed, roundSecretKey, parameterCount }) };
}

function updateEvent(
  state: RunState,
  agentId: string,
  manifest: UpdateManifest,
  checked: Checked,
): { kind: 'updateReceived'; agentId: string; round: number; update: UpdateSummary; refusal?: Refusal } {
  const norm = checked.kind === 'opened' && checked.opened.kind === 'opened' ? checked.opened.norm : 0;
  const update = summaryOf(manifest, norm);
  const refusal =
    checked.kind === 'refused'
      ? checked.refusal
      : checked.kind === 'opened'
        ? checkOpened(checked.opened, state)
        : // Between the look and the turn the machine may have begun to want it: then the agent has to report again.
          ({ reason: 'incomplete', message: 'the round has just changed; report again' } as const);
  return { kind: 'updateReceived', agentId, round: manifest.round, update, ...(refusal && { refusal }) };
}

/** The verdict on an update of a round that is over: the same as then where it was accepted, else late. */
async function verdictOfPast(
  agentId: string,
  manifest: UpdateManifest,
  store: ReportDependencies['store'],
): Promise<Verdict | undefined> {
  const { runId, round } = manifest;
  const { nonce } = summaryOf(manifest, 0);
  if (await store.wasAccepted({ runId, round, agentId, nonce })) return acceptedVerdict;
  return undefined;
}

/** A manifest that cannot be trusted names no round; it counts for the one that waits for this agent. */
async function refuseUnread(
  agentId: string,
  refusal: { readonly reason: Refusal['reason']; readonly message: string },
  { owners }: ReportDependencies,
): Promise<Verdict> {
  const { reason, message } = refusal;
  for (const owner of owners()) {
    const { machine } = owner.current();
    const member = machine.phase === 'training' ? machine.members[agentId] : undefined;
    if (member?.state !== 'selected' && member?.state !== 'training') continue;
    const result = await owner.feed(({ round }) => ({
      kind: 'updateReceived',
      agentId,
      round,
      update: noUpdate,
      refusal: { reason, message },
    }));
    return result?.verdict ?? refusedVerdict(reason, message);
  }
  return refusedVerdict(reason, message);
}

export async function receiveFailure(
  agentId: string,
  report: FailureReport,
  { store, owner }: ReportDependencies,
): Promise<Verdict> {
  const code = shorten(report.code, 64);
  const message = shorten(report.message, 1000);
  const instruction = await store.instruction(report.instructionId, agentId);
  if (instruction?.kind === 'install') {
    await store.settleInstall(report.instructionId, agentId, { failed: `${code}: ${message}` });
    return acceptedVerdict;
  }
  const run = owner(report.runId);
  if (run === undefined) return unknownRun(report.runId, store);
  const result = await run.feed(() => ({ kind: 'failureReported', agentId, round: report.round, code, message }));
  return result?.verdict ?? acceptedVerdict;
}

export async function receiveEvaluation(
  agentId: string,
  report: EvaluationReport,
  { store, owner }: ReportDependencies,
): Promise<Verdict> {
  const run = owner(report.runId);
  if (run === undefined) return unknownRun(report.runId, store);
  const { round } = report;
  const measures = cleanMeasures(report);
  const result = await run.feed(() =>
    typeof measures === 'string'
      ? { kind: 'failureReported', agentId, round, code: 'malformed', message: measures }
      : { kind: 'evaluationReported', agentId, round, measures },
  );
  const verdict = result?.verdict ?? acceptedVerdict;
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
