/** A small coordinator for the agent's specs: real TLS, real gRPC on loopback, and whatever misbehaviour a spec asks for. */
import { createHash } from 'node:crypto';

import { layoutOf, canonicalLayout } from '@graft/core/layout';
import { limits } from '@graft/core/limits';
import { tensor } from '@graft/core/tensor';
import { encodeSafetensors } from '@graft/models/formats/safetensors';
import { serverChannelOptions } from '@graft/protos/channel-options';
import { uploadMetadata } from '@graft/protos/clients.adapter';
import { signingKeyFromSeed, type AgreementKey, type SigningKey } from '@graft/protos/identity/keys';
import { createRoundKey, randomSeed } from '@graft/protos/identity/random.adapter';
import { signRelease, signRoundKey } from '@graft/protos/identity/signatures.adapter';
import { verifyEnrolment } from '@graft/protos/identity/signatures';
import { decodeUpdateManifest } from '@graft/protos/message-codec.adapter';
import type * as wire from '@graft/protos/messages';
import { openEnvelope, openInOrder } from '@graft/protos/sealed/open.adapter';
import {
  enrolmentService,
  federationService,
  type EnrolmentHandlers,
  type FederationHandlers,
} from '@graft/protos/service-definitions.adapter';
import { createCa, createServerCertificate, signAgentCertificate } from '@graft/protos/trust/authority.adapter';
import { fingerprint } from '@graft/protos/trust/fingerprint.adapter';
import { Server, ServerCredentials, status, type ServerWritableStream } from '@grpc/grpc-js';

interface Refusal {
  readonly code: status;
  readonly details: string;
}

type InstructionStream = ServerWritableStream<wire.ConnectRequest, wire.Instruction>;

export class FakeCoordinator {
  readonly tokens = new Set(['token']);
  readonly blobs = new Map<string, Uint8Array>();
  /** Chunks of blobs that were uploaded. */
  readonly uploads = new Map<string, Uint8Array[]>();
  updates: wire.ReportUpdateRequest[] = [];
  failures: wire.ReportFailureRequest[] = [];
  evaluations: wire.ReportEvaluationRequest[] = [];
  installed: wire.ReportInstalledRequest[] = [];
  heartbeats: wire.HeartbeatRequest[] = [];
  downloads: wire.DownloadRequest[] = [];
  hellos: wire.ConnectRequest[] = [];
  /** Instructions that are sent at every Connect until they are settled by a report. */
  unsettled: wire.Instruction[] = [];
  refuseConnect: Refusal | undefined;
  refuseUploads: Refusal | undefined;
  refuseEnrolment: Refusal | undefined;
  /** Uploads are cut, once, after so many chunks. */
  cutUploadAfter: number | undefined;
  /** Downloads are cut, once, after so many chunks. */
  cutDownloadAfter: number | undefined;
  largestUpload = Infinity;
  /** While set, uploads are answered once it resolves. */
  holdUploads: Promise<void> | undefined;
  verdict: wire.Verdict = { accepted: true, reason: '', message: '' };
  skewMs = 0;
  /** Told with each heartbeat: the agent is not needed for so long. */
  comeBackMs = 0;
  readonly identity: SigningKey = signingKeyFromSeed(randomSeed());
  readonly roundKey: AgreementKey = createRoundKey();
  private servers: Server[] = [];
  private readonly streams = new Set<InstructionStream>();

  private constructor(
    private readonly ca: Awaited<ReturnType<typeof createCa>>,
    private readonly certificate: Awaited<ReturnType<typeof createServerCertificate>>,
    private readonly ports: { federation: number; enrolment: number },
  ) {}

  static async start(): Promise<FakeCoordinator> {
    const ca = await createCa('spec CA', { atMs: Date.now() });
    const certificate = await createServerCertificate(ca, ['127.0.0.1', 'localhost'], { atMs: Date.now() });
    const coordinator = new FakeCoordinator(ca, certificate, { federation: 0, enrolment: 0 });
    await coordinator.listen();
    return coordinator;
  }

  get enrolmentAddress(): string {
    return `127.0.0.1:${this.ports.enrolment}`;
  }

  get federationAddress(): string {
    return `127.0.0.1:${this.ports.federation}`;
  }

  get fingerprint(): string {
    return fingerprint(this.ca.certificatePem);
  }

  /** Listens, on the same ports as before. */
  async listen(): Promise<void> {
    const { certificatePem, privateKeyPem } = this.certificate;
    const pair = [{ cert_chain: Buffer.from(certificatePem), private_key: Buffer.from(privateKeyPem) }];
    const ca = Buffer.from(this.ca.certificatePem);
    const federation = new Server(serverChannelOptions);
    federation.addService(federationService, this.federation());
    this.ports.federation = await bind(federation, this.ports.federation, ServerCredentials.createSsl(ca, pair, true));
    const enrolment = new Server(serverChannelOptions);
    enrolment.addService(enrolmentService, this.enrolment());
    this.ports.enrolment = await bind(enrolment, this.ports.enrolment, ServerCredentials.createSsl(null, pair));
    this.servers = [federation, enrolment];
  }

  /** As new, with the same keys and addresses. */
  async reset(): Promise<void> {
    this.kill();
    this.blobs.clear();
    this.uploads.clear();
    [this.updates, this.failures, this.evaluations, this.installed] = [[], [], [], []];
    [this.heartbeats, this.downloads, this.hellos, this.unsettled] = [[], [], [], []];
    [this.refuseConnect, this.refuseUploads, this.refuseEnrolment] = [undefined, undefined, undefined];
    [this.cutUploadAfter, this.cutDownloadAfter, this.skewMs] = [undefined, undefined, 0];
    this.comeBackMs = 0;
    this.holdUploads = undefined;
    this.largestUpload = Infinity;
    this.verdict = { accepted: true, reason: '', message: '' };
    await this.listen();
  }

  /** As kill -9 does: every connection is cut. */
  kill(): void {
    for (const server of this.servers) server.forceShutdown();
    this.servers = [];
    this.streams.clear();
  }

  put(bytes: Uint8Array): wire.BlobRef {
    const hash = sha256(bytes);
    this.blobs.set(hash, bytes);
    return { hash, sizeBytes: bytes.length };
  }

  send(instruction: wire.Instruction): void {
    this.unsettled.push(instruction);
    for (const stream of this.streams) stream.write(instruction);
  }

  /** Sends what is not kept: a cancel, a drain. */
  say(instruction: wire.Instruction): void {
    for (const stream of this.streams) stream.write(instruction);
  }

  cutStreams(): void {
    for (const stream of this.streams) stream.emit('error', { code: status.UNAVAILABLE, details: 'cut' });
    this.streams.clear();
  }

  /** A rehearsal of `length` parameters, signed as a coordinator does. */
  probe(
    id: string,
    round: number,
    options: { readonly length?: number; readonly add?: number; readonly runId?: string } = {},
  ): wire.Instruction {
    const length = options.length ?? 10;
    const weights = new Map([['w', tensor('float32', [length], new Float32Array(length))]]);
    const claim = { runId: options.runId ?? 'run', round, roundKey: this.roundKey.publicKey };
    return {
      id,
      kind: 'train',
      train: {
        ...claim,
        taskId: 'task',
        base: this.put(encodeSafetensors(weights)),
        baseEncoding: 'fp32',
        layoutHash: sha256(Buffer.from(canonicalLayout(layoutOf([['w', [length]]])))),
        roundKeySignature: signRoundKey(this.identity, claim),
        deadlineMs: Date.now() + 60_000,
        work: 'probe',
        probe: { add: options.add ?? 0.5 },
      },
    };
  }

  release(manifest: object): wire.Release {
    const bytes = Buffer.from(JSON.stringify(manifest));
    return { manifest: bytes, signature: signRelease(this.identity, bytes) };
  }

  /** The delta of a reported update, opened with the round's key. */
  async open(update: wire.ReportUpdateRequest): Promise<Float32Array> {
    const manifest = decodeUpdateManifest(update.manifest);
    const chunks = this.uploads.get(manifest.ciphertext?.hash ?? '') ?? [];
    const parts: Uint8Array[] = [];
    for await (const part of openInOrder(openEnvelope(manifest, this.roundKey.secretKey), chunks)) parts.push(part);
    return new Float32Array(new Uint8Array(Buffer.concat(parts)).buffer);
  }

  private enrolment(): EnrolmentHandlers {
    return {
      enrol: ({ request }, callback) => {
        const { token, csr, agreementKey, signingKey, proof } = request;
        if (this.refuseEnrolment !== undefined) return callback(this.refuseEnrolment);
        if (!this.tokens.delete(token)) return callback({ code: status.UNAUTHENTICATED, details: 'no such token' });
        if (!verifyEnrolment(signingKey, { token, csr, agreementKey }, proof)) {
          return callback({ code: status.INVALID_ARGUMENT, details: 'the proof does not verify' });
        }
        void this.certify(csr, callback);
      },
    };
  }

  private async certify(csr: Uint8Array, callback: Parameters<EnrolmentHandlers['enrol']>[1]): Promise<void> {
    const certificate = await signAgentCertificate(this.ca, csr, { agentId: 'agent-1', atMs: Date.now() });
    callback(null, {
      agentId: 'agent-1',
      agentName: 'lund',
      certificate: Buffer.from(certificate),
      caCertificate: Buffer.from(this.ca.certificatePem),
      identityKey: this.identity.publicKey,
      federationAddress: this.federationAddress,
      protocol: 1,
    });
  }

  private federation(): FederationHandlers {
    return {
      connect: (call) => this.onConnect(call),
      heartbeat: ({ request }, callback) => {
        this.heartbeats.push(request);
        callback(null, { nextMs: 20, comeBackMs: this.comeBackMs });
      },
      download: (call) => {
        this.downloads.push(call.request);
        const bytes = this.blobs.get(call.request.hash);
        if (bytes === undefined) {
          call.emit('error', { code: status.NOT_FOUND, details: 'no such blob' });
          return;
        }
        let index = call.request.firstChunk;
        for (; index * limits.chunkBytes < bytes.length; index++) {
          if (this.cutDownloadAfter === index) {
            this.cutDownloadAfter = undefined;
            call.emit('error', { code: status.UNAVAILABLE, details: 'cut' });
            return;
          }
          call.write({ data: bytes.subarray(index * limits.chunkBytes, (index + 1) * limits.chunkBytes) });
        }
        call.end();
      },
      uploadState: ({ request }, callback) => {
        if (this.refuseUploads !== undefined) return callback(this.refuseUploads);
        const blob = request.blob ?? { hash: '', sizeBytes: 0 };
        if (blob.sizeBytes > this.largestUpload) {
          return callback({ code: status.RESOURCE_EXHAUSTED, details: `the limit is ${this.largestUpload}` });
        }
        const nextChunk = this.uploads.get(blob.hash)?.length ?? 0;
        callback(null, { nextChunk, complete: nextChunk === Math.ceil(blob.sizeBytes / limits.chunkBytes) });
      },
      upload: (call, callback) => {
        const hash = String(call.metadata.get(uploadMetadata.blob)[0]);
        const first = Number(call.metadata.get(uploadMetadata.firstChunk)[0]);
        const chunks = this.uploads.get(hash) ?? [];
        if (first !== chunks.length) {
          return callback({ code: status.FAILED_PRECONDITION, details: `the next chunk is ${chunks.length}` });
        }
        this.uploads.set(hash, chunks);
        call.on('data', ({ data }: wire.Chunk) => {
          if (this.cutUploadAfter === chunks.length) {
            this.cutUploadAfter = undefined;
            callback({ code: status.UNAVAILABLE, details: 'cut' });
            return;
          }
          chunks.push(Uint8Array.from(data));
        });
        call.on('end', () => void this.answerUpload(hash, callback));
      },
      reportUpdate: ({ request }, callback) => {
        this.updates.push(request);
        this.settleRound(decodeUpdateManifest(request.manifest));
        callback(null, this.verdict);
      },
      reportFailure: ({ request }, callback) => {
        this.failures.push(request);
        this.settle(request.instructionId);
        callback(null, this.verdict);
      },
      reportEvaluation: ({ request }, callback) => {
        this.evaluations.push(request);
        this.settle(request.instructionId);
        callback(null, this.verdict);
      },
      reportInstalled: ({ request }, callback) => {
        this.installed.push(request);
        this.settle(request.instructionId);
        callback(null, this.verdict);
      },
    };
  }

  private async answerUpload(hash: string, callback: Parameters<FederationHandlers['upload']>[1]): Promise<void> {
    await this.holdUploads;
    callback(null, { blob: { hash, sizeBytes: 0 } });
  }

  private onConnect(call: InstructionStream): void {
    this.hellos.push(call.request);
    if (this.refuseConnect !== undefined) return void call.emit('error', this.refuseConnect);
    this.streams.add(call);
    call.on('cancelled', () => this.streams.delete(call));
    const clockMs = Date.now() + this.skewMs;
    call.write({
      id: 'welcome',
      kind: 'welcome',
      welcome: { protocol: 1, coordinatorVersion: 'spec', heartbeatMs: 20, clockMs },
    });
    for (const instruction of this.unsettled) call.write(instruction);
  }

  private settle(id: string): void {
    this.unsettled = this.unsettled.filter((instruction) => instruction.id !== id);
  }

  private settleRound({ runId, round }: wire.UpdateManifest): void {
    this.unsettled = this.unsettled.filter(
      (one) => one.kind !== 'train' || one.train.round !== round || one.train.runId !== runId,
    );
  }
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function bind(server: Server, port: number, credentials: ServerCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, credentials, (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
}

/** Resolves once `check` gives something. */
export async function until<Result>(
  check: () => Result | undefined | false | Promise<Result | undefined | false>,
  what: string,
): Promise<Result> {
  const giveUpAtMs = Date.now() + 20_000;
  for (;;) {
    const result = await check();
    if (result !== undefined && result !== false) return result;
    if (Date.now() > giveUpAtMs) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
