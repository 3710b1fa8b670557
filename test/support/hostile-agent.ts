/**
 * An agent that is driven by a test: enrolled and connected as any other, but what it seals and reports is up to the test.
 * It seals by the envelope of docs/protocol.md, with the faults that it is given.
 */
import { credentials } from '@grpc/grpc-js';
import { createHash } from 'node:crypto';

import { canonicalLayout, layoutOf } from '@graft/core/layout';
import { enrolmentClient, federationClient, type FederationClient } from '@graft/protos/clients.adapter';
import { agreementKeyFromSeed, signingKeyFromSeed, type SigningKey } from '@graft/protos/identity/keys';
import { randomSeed } from '@graft/protos/identity/random.adapter';
import { signUpdate } from '@graft/protos/identity/signatures.adapter';
import { signEnrolment } from '@graft/protos/identity/signatures';
import { decodeUpdateManifest, encodeUpdateManifest } from '@graft/protos/message-codec.adapter';
import type * as wire from '@graft/protos/messages';
import { createSealer, plaintextChunks } from '@graft/protos/sealed/seal.adapter';
import { chunkRange, chunkCount } from '@graft/protos/chunks';
import { createCsr } from '@graft/protos/trust/csr.adapter';
import { fetchCaByFingerprint } from '@graft/protos/trust/fingerprint.adapter';

import type { Invite } from './federation.js';
import { until } from './commands.js';

/** Who an agent is, as enrolment made it. */
export interface Identity {
  readonly agentId: string;
  readonly signing: SigningKey;
  readonly identityKey: Uint8Array;
  readonly address: string;
  readonly ca: string;
  readonly certificate: string;
  readonly privateKey: string;
}

/** A request to enrol that is right in everything but the `faults`. */
export async function enrolmentRequest(token: string, faults: Partial<wire.EnrolRequest> = {}) {
  const { csrDer: csr, privateKeyPem } = await createCsr();
  const signing = signingKeyFromSeed(randomSeed());
  const agreementKey = agreementKeyFromSeed(randomSeed()).publicKey;
  const request: wire.EnrolRequest = {
    minProtocol: 1,
    maxProtocol: 1,
    agentVersion: 'hostile',
    token,
    csr,
    signingKey: signing.publicKey,
    agreementKey,
    proof: signEnrolment(signing, { token, csr, agreementKey }),
    clockMs: Date.now(),
    ...faults,
  };
  return { request, signing, privateKeyPem };
}

/** Enrols; rejects with the ServiceError of the call. */
export async function enrolHostile(invite: Invite, faults: Partial<wire.EnrolRequest> = {}): Promise<Identity> {
  const [host = '', port] = invite.server.split(':');
  const ca = await fetchCaByFingerprint(host, Number(port), invite.fingerprint);
  const { request, signing, privateKeyPem } = await enrolmentRequest(invite.token, faults);
  const client = enrolmentClient(invite.server, credentials.createSsl(Buffer.from(ca)));
  try {
    const { agentId, certificate, identityKey, federationAddress } = await client.enrol(request);
    const names = { agentId, signing, identityKey, address: federationAddress, ca, privateKey: privateKeyPem };
    return { ...names, certificate: Buffer.from(certificate).toString() };
  } finally {
    client.close();
  }
}

/** A client with the certificate of an identity. */
export function clientOf({ ca, privateKey, certificate, address }: Identity, at = address): FederationClient {
  const [trusted, key, chain] = [ca, privateKey, certificate].map((pem) => Buffer.from(pem));
  return federationClient(at, credentials.createSsl(trusted, key, chain));
}

export const hello = (faults: Partial<wire.ConnectRequest> = {}): wire.ConnectRequest => ({
  minProtocol: 1,
  maxProtocol: 1,
  agentVersion: 'hostile',
  clockMs: Date.now(),
  ...faults,
});

/** What a test may do to an update; everything else is as an honest agent does it. */
export interface Faults {
  /** Changes the delta before it is sealed. */
  readonly delta?: (delta: Float32Array) => void;
  /** What is sealed into the envelope and said in the manifest. */
  readonly manifest?: Partial<wire.UpdateManifest>;
  /** Changes the manifest alone, after sealing: the envelope stays bound to the truth. */
  readonly relabel?: (manifest: wire.UpdateManifest) => Partial<wire.UpdateManifest>;
  /** Changes the sealed chunks; the manifest names what comes out. */
  readonly chunks?: (chunks: Uint8Array[]) => Uint8Array[];
}

/** An update, ready to be uploaded and reported. */
export interface Sealed {
  readonly manifest: Uint8Array;
  readonly signature: Uint8Array;
  readonly ciphertext: Uint8Array;
  readonly blob: wire.BlobRef;
}

export type TrainPlan = Extract<wire.TrainPlan, { work: 'probe' }>;

export interface HostileAgent {
  readonly identity: Identity;
  readonly client: FederationClient;
  /** The plan of the round after the last one that this answered; waits until it comes. */
  nextPlan(): Promise<TrainPlan>;
  seal(plan: TrainPlan, parameters: number, faults?: Faults): Sealed;
  upload(sealed: Sealed): Promise<void>;
  report(sealed: Pick<Sealed, 'manifest' | 'signature'>): Promise<wire.Verdict>;
  /** Seals, uploads and reports. */
  answer(plan: TrainPlan, parameters: number, faults?: Faults): Promise<wire.Verdict>;
  /** The same envelope under another manifest, signed again. */
  relabel(sealed: Sealed, manifest: Partial<wire.UpdateManifest>): Sealed;
  sign(manifest: Uint8Array): Uint8Array;
  close(): void;
}

/** Connects, and keeps the plans that come. */
export function connectHostile(identity: Identity, at = identity.address): HostileAgent {
  const client = clientOf(identity, at);
  const stream = client.connect(hello());
  const plans = new Map<number, TrainPlan>();
  let ended: Error | undefined;
  let answered = 0;
  stream.on('data', ({ kind, ...rest }: wire.Instruction) => {
    if (kind !== 'train') return;
    const { train } = rest as { train: TrainPlan };
    plans.set(train.round, train);
  });
  stream.on('error', (error) => (ended = error));
  const agent: HostileAgent = {
    identity,
    client,
    nextPlan: async () => {
      const plan = await until(`a plan after round ${answered}`, async () => {
        if (ended !== undefined) throw ended;
        return [...plans.values()].find(({ round }) => round > answered);
      });
      answered = plan.round;
      return plan;
    },
    seal: (plan, parameters, faults) => seal(identity, { plan, parameters }, faults),
    upload: async (sealed) => upload(client, sealed),
    report: async ({ manifest, signature }) => client.reportUpdate({ manifest, signature }),
    answer: async (plan, parameters, faults) => {
      const sealed = agent.seal(plan, parameters, faults);
      await agent.upload(sealed);
      return agent.report(sealed);
    },
    relabel: (sealed, change) => {
      const manifest = encodeUpdateManifest({ ...decodeUpdateManifest(sealed.manifest), ...change });
      return { ...sealed, manifest, signature: signUpdate(identity.signing, manifest) };
    },
    sign: (manifest) => signUpdate(identity.signing, manifest),
    close: () => {
      stream.cancel();
      client.close();
    },
  };
  return agent;
}

function seal(
  { agentId, identityKey, signing }: Identity,
  { plan, parameters }: { readonly plan: TrainPlan; readonly parameters: number },
  faults: Faults = {},
): Sealed {
  const { taskId, runId, round, layoutHash, roundKey, roundKeySignature } = plan;
  const delta = new Float32Array(parameters).fill(plan.probe.add);
  faults.delta?.(delta);
  const plaintext = new Uint8Array(delta.buffer);
  const context = { taskId, runId, round, agentId, baseHash: plan.base?.hash ?? '', layoutHash, ...faults.manifest };
  const keys = { roundKey, roundKeySignature, identityKey };
  const sealer = createSealer({ context, plaintextBytes: plaintext.byteLength, ...keys });
  const honest = [...plaintextChunks(plaintext)].map((chunk) => sealer.seal(chunk));
  const fields = sealer.finish();
  const ciphertext = Buffer.concat(faults.chunks?.(honest) ?? honest);
  const blob = { hash: createHash('sha256').update(ciphertext).digest('hex'), sizeBytes: ciphertext.byteLength };
  const truth = {
    ...context,
    exampleCount: 1,
    parameterCount: parameters,
    ...fields,
    ciphertext: blob,
    ...faults.manifest,
  };
  const manifest = encodeUpdateManifest({ ...truth, ...faults.relabel?.(truth) });
  return { manifest, signature: signUpdate(signing, manifest), ciphertext, blob };
}

/** Uploads from the chunk that the coordinator names. Rejects with the ServiceError. */
async function upload(client: FederationClient, { ciphertext, blob }: Sealed): Promise<void> {
  const { nextChunk, complete } = await client.uploadState({ blob });
  if (complete) return;
  const { chunks, receipt } = client.upload({ blob, firstChunk: nextChunk });
  for (let index = nextChunk; index < chunkCount(ciphertext.byteLength); index++) {
    const { start, length } = chunkRange(ciphertext.byteLength, index);
    chunks.write({ data: ciphertext.subarray(start, start + length) });
  }
  chunks.end();
  await receipt;
}

/** The layout hash of a probe with so many parameters. */
export function probeLayoutHash(parameters: number): string {
  return createHash('sha256')
    .update(canonicalLayout(layoutOf([['probe', [parameters]]])))
    .digest('hex');
}

/** What a call was refused with, as the catalogue and the message say it. */
export async function callRefusal(call: Promise<unknown>): Promise<{ code: string; fix: string; message: string }> {
  const error = (await call.then(
    () => undefined,
    (reason: unknown) => reason,
  )) as { details: string; metadata: { get(name: string): (string | Buffer)[] } } | undefined;
  if (error === undefined) throw new Error('the call was not refused');
  const field = (name: string): string => decodeURI(error.metadata.get(name)[0]?.toString() ?? '');
  return { code: field('graft-code'), fix: field('graft-fix'), message: error.details };
}
