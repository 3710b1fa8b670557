/** The Federation service on loopback, with real certificates and sockets; engine and stores are fakes. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';

import { Client, credentials, type ServiceError } from '@grpc/grpc-js';

import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import { sha256 } from '@graft/models/formats/sha256.adapter';
import { federationClient, type FederationClient } from '@graft/protos/clients.adapter';
import type * as wire from '@graft/protos/messages';
import { federationService } from '@graft/protos/service-definitions.adapter';
import {
  createCa,
  createServerCertificate,
  signAgentCertificate,
  type CertifiedKey,
} from '@graft/protos/trust/authority.adapter';
import { createCsr } from '@graft/protos/trust/csr.adapter';

import type { Rounds, Verdict } from '../rounds/rounds.js';
import { silentLog } from '../server/log.js';
import type { KnownAgent } from './agent-directory.js';
import { federationHandlers } from './federation.grpc.js';
import { grants } from './grants.js';
import { startGrpcServer, type GrpcServer } from './grpc-server.driver.js';
import { createHub, type Hub } from './hub.js';
import { follow, until } from './follow.contract.js';
import { memoryBlobs, type MemoryBlobs } from './memory-blobs.contract.js';
import { transferMeter } from './transfer-meter.js';

const nowMs = 1_700_000_000_000 + 365 * 86_400_000 * 3;
const accepted: Verdict = { accepted: true, reason: '', message: '' };

let ca: CertifiedKey;
let otherCa: CertifiedKey;
let server: GrpcServer;
let hub: Hub;
let blobs: MemoryBlobs;
let agents: Map<string, KnownAgent>;
let instructions: Map<string, wire.Instruction[]>;
let calls: string[];
/** Capabilities that agents named. */
let said: wire.Capabilities[];
let clients: FederationClient[];

beforeAll(async () => {
  const atMs = Date.now();
  ca = await createCa('ca', { atMs });
  otherCa = await createCa('another ca', { atMs });
});

beforeEach(async () => {
  calls = [];
  said = [];
  clients = [];
  blobs = memoryBlobs();
  instructions = new Map();
  agents = new Map(['one', 'two'].map((id) => [id, { id, name: `site ${id}`, state: 'active' }]));
  const granted = grants();
  hub = createHub({
    unsettled: async (agentId) => instructions.get(agentId) ?? [],
    connected: async (agentId) => void calls.push(`connected ${agentId}`),
    lost: async (agentId) => void calls.push(`lost ${agentId}`),
    paused: async (agentId, reason) => void calls.push(`paused ${agentId}: ${reason}`),
    grants: granted,
    log: silentLog,
  });
  const rounds = {
    reportUpdate: async (agentId: string) => (calls.push(`update of ${agentId}`), accepted),
    reportFailure: async () => {
      throw new Error('the store is away');
    },
    agentConnected: async (agentId: string) => void calls.push(`engine hears again of ${agentId}`),
    progress: (agentId: string) => void calls.push(`progress of ${agentId}`),
    transferred: () => undefined,
  } as unknown as Rounds;
  const tls = await createServerCertificate(ca, ['localhost', '127.0.0.1'], { atMs: Date.now() });
  server = await startGrpcServer({
    host: '127.0.0.1',
    port: 0,
    portFlag: '--grpc-port',
    tls: { key: tls.privateKeyPem, certificate: tls.certificatePem, clientCa: ca.certificatePem },
    service: federationService,
    handlers: federationHandlers({
      agents: {
        find: async (id) => agents.get(id),
        seen: async (_, { capabilities }) => void (capabilities && said.push(capabilities)),
      },
      blobs,
      rounds,
      hub,
      grants: granted,
      meter: transferMeter(),
      clock: { nowMs: () => nowMs },
      log: silentLog,
      version: '0.1.0',
      paused: (agentId, reason) => hub.paused(agentId, reason),
      changed: (agentId) => rounds.agentConnected(agentId),
    }),
  });
});

afterEach(async () => {
  for (const client of clients) client.close();
  await server.close(200);
});

async function clientOf(agentId: string, authority: CertifiedKey = ca): Promise<FederationClient> {
  const { csrDer, privateKeyPem } = await createCsr();
  const certificate = await signAgentCertificate(authority, csrDer, { agentId, atMs: Date.now() });
  const tls = credentials.createSsl(
    Buffer.from(ca.certificatePem),
    Buffer.from(privateKeyPem),
    Buffer.from(certificate),
  );
  const client = federationClient(`localhost:${server.port}`, tls);
  clients.push(client);
  return client;
}

const hello: wire.ConnectRequest = { minProtocol: 1, maxProtocol: 1, agentVersion: '0.1.0', clockMs: nowMs };

const trainPlan = (base: wire.BlobRef): wire.Instruction => ({
  id: 'train-1',
  kind: 'train',
  train: {
    taskId: 't',
    runId: 'r',
    round: 1,
    base,
    baseEncoding: 'fp32',
    layoutHash: '',
    roundKey: new Uint8Array(32),
    roundKeySignature: new Uint8Array(64),
    deadlineMs: 0,
    work: 'probe',
    probe: { add: 1 },
  },
});

/** Agent one is connected and has a plan over `base`. */
async function withPlan(base: Uint8Array): Promise<{ client: FederationClient; blob: wire.BlobRef }> {
  const blob = await blobs.put(base);
  instructions.set('one', [trainPlan(blob)]);
  const client = await clientOf('one');
  const { received } = follow(client.connect(hello));
  await until(() => received.length === 2);
  return { client, blob };
}

describe('Connect', () => {
  test('an agent gets a welcome, then every unsettled instruction, then what wakes it, each once', async () => {
    instructions.set('one', [{ id: 'a', kind: 'cancel', cancel: { runId: 'r', round: 1, reason: 'x' } }]);
    const { received } = follow((await clientOf('one')).connect(hello));
    await until(() => received.length === 2);
    instructions.get('one')?.push({ id: 'b', kind: 'cancel', cancel: { runId: 'r', round: 2, reason: 'y' } });
    hub.wake('one');
    hub.wake('one');
    await until(() => received.length === 3);
    expect(received.map(({ id }) => id)).toEqual(['welcome', 'a', 'b']);
    expect(received[0]).toMatchObject({ welcome: { protocol: 1, clockMs: nowMs } });
    expect(hub.connected()).toEqual(['one']);
    expect(calls).toEqual(['connected one']);
  });

  test('after a lost connection the same instructions come again, and the engine hears of both', async () => {
    instructions.set('one', [{ id: 'a', kind: 'cancel', cancel: { runId: 'r', round: 1, reason: 'x' } }]);
    const client = await clientOf('one');
    const first = follow(client.connect(hello));
    await until(() => first.received.length === 2);
    first.cancel();
    await until(() => calls.includes('lost one'));
    const second = follow(client.connect(hello));
    await until(() => second.received.length === 2);
    expect(second.received.map(({ id }) => id)).toEqual(['welcome', 'a']);
    expect(calls).toEqual(['connected one', 'lost one', 'connected one']);
  });

  test('a second stream ends the first with ABORTED, and the agent is not lost', async () => {
    const first = follow((await clientOf('one')).connect(hello));
    await until(() => first.received.length === 1);
    const second = follow((await clientOf('one')).connect(hello));
    await until(() => second.received.length === 1);
    expect((await first.ended)?.code).toBe(10);
    expect(hub.connected()).toEqual(['one']);
    expect(calls).not.toContain('lost one');
  });

  test('a revoked agent is thrown out at once, and not let in again', async () => {
    const client = await clientOf('one');
    const stream = follow(client.connect(hello));
    await until(() => stream.received.length === 1);
    agents.set('one', { id: 'one', name: 'site one', state: 'revoked' });
    hub.disconnect('one', new GraftError('AGENT_REVOKED', 'revoked'));
    expect((await stream.ended)?.code).toBe(7);
    const again = follow(client.connect(hello));
    const error = await again.ended;
    expect(error).toMatchObject({ code: 7, details: expect.stringContaining('has been revoked') });
    expect(error?.metadata.get('graft-code')).toEqual(['AGENT_REVOKED']);
    expect(decodeURI(String(error?.metadata.get('graft-fix')[0]))).toContain('Ask the operator');
    await expect(client.heartbeat({ runId: '', round: 0, activity: '', progress: 0, loss: 0 })).rejects.toMatchObject({
      code: 7,
    });
  });

  test.each([
    ['of a newer protocol', { ...hello, minProtocol: 7, maxProtocol: 9 }, 9, '7 to 9'],
    ['whose clock is an hour off', { ...hello, clockMs: nowMs - 3_600_000 }, 9, '3600 s apart'],
    ['with a clock beyond all dates', { ...hello, clockMs: Number.MAX_SAFE_INTEGER }, 9, 'clock'],
  ])('an agent %s is refused and told why', async (_who, request, code, named) => {
    const { ended } = follow((await clientOf('one')).connect(request));
    expect(await ended).toMatchObject({ code, details: expect.stringContaining(named) });
    expect(calls).toEqual([]);
  });

  test('an agent that waits for approval may come back, one that nobody knows may not', async () => {
    agents.set('one', { id: 'one', name: 'site one', state: 'pending' });
    expect(await follow((await clientOf('one')).connect(hello)).ended).toMatchObject({ code: 14 });
    expect(await follow((await clientOf('stranger')).connect(hello)).ended).toMatchObject({ code: 7 });
  });

  test('an agent that pauses is connected and not chosen from; what it offers is kept within bounds', async () => {
    const client = await clientOf('one');
    const stream = follow(client.connect({ ...hello, paused: 'outside its hours' }));
    await until(() => stream.received.length === 1);
    expect(hub.connected()).toEqual([]);
    expect(hub.online().get('one')?.paused).toBe('outside its hours');
    const idle = { runId: '', round: 0, activity: '', progress: 0, loss: 0 };
    const capabilities = {
      device: 'x'.repeat(1_000),
      threads: 1,
      trainingExamples: 1,
      heldOutExamples: 0,
      tags: Array.from({ length: 1_000 }, () => 'y'.repeat(1_000)),
    };
    await client.heartbeat({ ...idle, capabilities });
    expect(hub.connected()).toEqual(['one']);
    expect(said.at(-1)?.device).toHaveLength(32);
    expect(said.at(-1)?.tags).toHaveLength(64);
    expect(calls).toEqual(['connected one', 'paused one: ', 'engine hears again of one']);
  });

  test('a draining coordinator says when to come back, ends the streams, and lets nobody in', async () => {
    const client = await clientOf('one');
    const stream = follow(client.connect(hello));
    await until(() => stream.received.length === 1);
    await hub.drain(1_000);
    expect(await stream.ended).toBeUndefined();
    expect(stream.received.at(-1)).toMatchObject({ kind: 'drain', drain: { reconnectAfterMs: 1_000 } });
    expect(await follow(client.connect(hello)).ended).toMatchObject({ code: 14 });
  });
});

describe('who is let in', () => {
  test('a client without a certificate, or with one of another CA, gets no connection', async () => {
    const none = federationClient(`localhost:${server.port}`, credentials.createSsl(Buffer.from(ca.certificatePem)));
    clients.push(none);
    const foreign = await clientOf('one', otherCa);
    for (const client of [none, foreign]) {
      await expect(
        client.heartbeat({ runId: '', round: 0, activity: '', progress: 0, loss: 0 }, { deadline: Date.now() + 2_000 }),
      ).rejects.toMatchObject({
        code: 14,
      });
    }
    expect(calls).toEqual([]);
  });

  test('an error of ours is INTERNAL and does not tell its words', async () => {
    const report = (await clientOf('one')).reportFailure({
      instructionId: '',
      runId: '',
      round: 0,
      code: '',
      message: '',
    });
    await expect(report).rejects.toMatchObject({ code: 13, details: expect.not.stringContaining('store') });
  });

  test('bytes that are no message are INVALID_ARGUMENT', async () => {
    const { csrDer, privateKeyPem } = await createCsr();
    const certificate = await signAgentCertificate(ca, csrDer, { agentId: 'one', atMs: Date.now() });
    const tls = credentials.createSsl(
      Buffer.from(ca.certificatePem),
      Buffer.from(privateKeyPem),
      Buffer.from(certificate),
    );
    const raw = new Client(`localhost:${server.port}`, tls, { 'grpc.enable_http_proxy': 0 });
    const identity = (value: Buffer): Buffer => value;
    for (const method of [federationService.reportUpdate, federationService.download]) {
      const call = raw.makeServerStreamRequest(method.path, identity, identity, Buffer.from('ff'.repeat(40), 'hex'));
      call.on('data', () => undefined);
      const [error] = (await once(call, 'error')) as [ServiceError];
      expect(error.code).toBe(3);
    }
    raw.close();
  });

  test('reports reach the engine with the certificate’s name', async () => {
    const client = await clientOf('two');
    expect(await client.reportUpdate({ manifest: new Uint8Array(3), signature: new Uint8Array(64) })).toEqual(accepted);
    expect(
      (await client.heartbeat({ runId: 'r', round: 1, activity: 'training', progress: 0.5, loss: 1 })).nextMs,
    ).toBeGreaterThan(0);
    expect(calls).toEqual(['update of two', 'progress of two']);
  });
});

async function downloaded(client: FederationClient, request: wire.DownloadRequest): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of client.download(request)) parts.push(Uint8Array.from((chunk as wire.Chunk).data));
  return Uint8Array.from(Buffer.concat(parts));
}

describe('Download', () => {
  test('what a plan names comes whole, and from any chunk on', async () => {
    const bytes = Uint8Array.from(randomBytes(3 * limits.chunkBytes + 17));
    const { client, blob } = await withPlan(bytes);
    expect(sha256(await downloaded(client, { hash: blob.hash, firstChunk: 0 }))).toBe(blob.hash);
    expect(await downloaded(client, { hash: blob.hash, firstChunk: 3 })).toEqual(bytes.slice(3 * limits.chunkBytes));
    expect(await downloaded(client, { hash: blob.hash, firstChunk: 4 })).toEqual(new Uint8Array());
    await expect(downloaded(client, { hash: blob.hash, firstChunk: 5 })).rejects.toMatchObject({ code: 11 });
  });

  test('what no instruction named is not there for an agent, even when it is stored', async () => {
    const { client } = await withPlan(randomBytes(10));
    const secret = await blobs.put(randomBytes(10));
    await expect(downloaded(client, { hash: secret.hash, firstChunk: 0 })).rejects.toMatchObject({ code: 5 });
    await expect(downloaded(client, { hash: '../../etc/passwd', firstChunk: 0 })).rejects.toMatchObject({ code: 5 });
  });
});

async function uploaded(
  client: FederationClient,
  blob: wire.BlobRef,
  chunks: Uint8Array[],
  firstChunk = 0,
): Promise<wire.UploadReceipt> {
  const { chunks: stream, receipt } = client.upload({ blob, firstChunk });
  for (const data of chunks) stream.write({ data });
  stream.end();
  return receipt;
}

describe('Upload', () => {
  const bytes = Uint8Array.from(randomBytes(2 * limits.chunkBytes + 5));
  const blob = { hash: sha256(bytes), sizeBytes: bytes.byteLength };
  const cut = (from = 0): Uint8Array[] =>
    [0, 1, 2].slice(from).map((i) => bytes.subarray(i * limits.chunkBytes, (i + 1) * limits.chunkBytes));
  const base = randomBytes(2 * limits.chunkBytes);

  test('a sealed update is stored and verified, and sending it again changes nothing', async () => {
    const { client } = await withPlan(base);
    expect(await client.uploadState({ blob })).toEqual({ nextChunk: 0, complete: false });
    expect((await uploaded(client, blob, cut())).blob).toEqual(blob);
    expect(Buffer.compare(blobs.stored.get(blob.hash) ?? new Uint8Array(), bytes)).toBe(0);
    expect(await client.uploadState({ blob })).toEqual({ nextChunk: 3, complete: true });
    expect((await uploaded(client, blob, [])).blob).toEqual(blob);
  });

  test('a cut upload goes on from the last chunk', async () => {
    const { client } = await withPlan(base);
    const { chunks, receipt } = client.upload({ blob, firstChunk: 0 });
    const failed = receipt.catch((error: ServiceError) => error.code);
    chunks.write({ data: cut()[0] ?? new Uint8Array() });
    chunks.write({ data: cut()[1] ?? new Uint8Array() });
    for (let stored = 0; stored < 2; stored = await blobs.partial(blob.hash))
      await new Promise((resolve) => setTimeout(resolve, 5));
    chunks.cancel();
    expect(await failed).toBe(1);
    expect(await client.uploadState({ blob })).toEqual({ nextChunk: 2, complete: false });
    await expect(uploaded(client, blob, cut(1), 1)).rejects.toMatchObject({ code: 9 });
    expect((await uploaded(client, blob, cut(2), 2)).blob).toEqual(blob);
  });

  test('without a plan, or for more than the plan implies, nothing is taken', async () => {
    const client = await clientOf('two');
    await expect(uploaded(client, blob, cut())).rejects.toMatchObject({ code: 9 });
    const { client: planned } = await withPlan(base);
    const large = { hash: blob.hash, sizeBytes: 5 * limits.chunkBytes };
    await expect(planned.uploadState({ blob: large })).rejects.toMatchObject({
      code: 8,
      details: expect.stringMatching(/5242880.*at most \d+/u),
    });
    await expect(uploaded(planned, large, cut())).rejects.toMatchObject({ code: 8 });
    expect(await blobs.partial(blob.hash)).toBe(0);
  });

  test.each([
    ['a short chunk', [bytes.subarray(0, 10)], 3],
    ['another file', [randomBytes(limits.chunkBytes), randomBytes(limits.chunkBytes), randomBytes(5)], 15],
    [
      'a chunk too many',
      [
        ...[0, 1, 2].map((i) => bytes.subarray(i * limits.chunkBytes, (i + 1) * limits.chunkBytes)),
        bytes.subarray(0, 5),
      ],
      8,
    ],
    ['too few chunks', [bytes.subarray(0, limits.chunkBytes)], 9],
    ['a chunk of more than 1 MiB', [bytes.subarray(0, limits.chunkBytes + 1)], 3],
  ])('%s is refused', async (_what, chunks, code) => {
    const { client } = await withPlan(base);
    await expect(uploaded(client, blob, chunks)).rejects.toMatchObject({ code });
    expect(await blobs.has(blob.hash)).toBeUndefined();
  });

  test.each([
    [{ hash: 'ABC', sizeBytes: 10 }],
    [{ hash: '../'.repeat(21) + 'x', sizeBytes: 10 }],
    [{ hash: blob.hash, sizeBytes: -1 }],
    [{ hash: blob.hash, sizeBytes: 0 }],
  ])('%j is no blob', async (named) => {
    const { client } = await withPlan(base);
    await expect(uploaded(client, named, [])).rejects.toMatchObject({ code: 3 });
  });
});
