/** Both services over a real connection on loopback: streams, uploads, windows, refusals. */
import { credentials, Server, ServerCredentials, status } from '@grpc/grpc-js';
import { limits } from '@graft/core/limits';
import { randomBytes } from 'node:crypto';
import { serverChannelOptions } from './channel-options.js';
import { allocateChunk } from './chunk-codec.adapter.js';
import { enrolmentClient, federationClient, type FederationClient, uploadMetadata } from './clients.adapter.js';
import type { Chunk } from './messages.js';
import { widenServerWindow } from './server-window.adapter.js';
import {
  enrolmentService,
  federationService,
  type EnrolmentHandlers,
  type FederationHandlers,
} from './service-definitions.adapter.js';

const verdict = { accepted: true, reason: '', message: '' };
const blob = randomBytes(limits.chunkBytes + 5);

const federation: FederationHandlers = {
  connect: (call) => {
    call.write({ id: '1', kind: 'cancel', cancel: { runId: 'run', round: 2, reason: call.request.agentVersion } });
    call.end();
  },
  heartbeat: (call, callback) => callback(null, { nextMs: call.request.round }),
  download: (call) => {
    call.write({ data: blob.subarray(0, limits.chunkBytes) });
    call.write({ data: blob.subarray(limits.chunkBytes) });
    call.end();
  },
  uploadState: (_call, callback) => callback({ code: status.NOT_FOUND, details: 'no such blob' }),
  upload: (call, callback) => {
    if (call.metadata.get(uploadMetadata.firstChunk)[0] !== '0') {
      callback({ code: status.FAILED_PRECONDITION, details: 'the next chunk is 0' });
      return;
    }
    const hash = String(call.metadata.get(uploadMetadata.blob)[0]);
    const sizeBytes = Number(call.metadata.get(uploadMetadata.size)[0]);
    const parts: Uint8Array[] = [];
    call.on('data', ({ data }: Chunk) => parts.push(data));
    call.on('end', () => {
      const same = Buffer.concat(parts).equals(blob);
      callback(null, { blob: { hash: same ? hash : 'differs', sizeBytes } });
    });
  },
  reportUpdate: (_call, callback) => callback(null, verdict),
  reportFailure: (_call, callback) => callback(null, verdict),
  reportEvaluation: (call, callback) => callback(null, { ...verdict, message: JSON.stringify(call.request.int8) }),
  reportInstalled: () => undefined,
};

const enrolment: EnrolmentHandlers = {
  enrol: (call, callback) => callback({ code: status.UNAUTHENTICATED, details: `no token ${call.request.token}` }),
};

describe('the services over loopback', () => {
  const server = new Server(serverChannelOptions);
  let address: string;
  let client: FederationClient;

  beforeAll(async () => {
    widenServerWindow(server);
    server.addService(federationService, federation);
    server.addService(enrolmentService, enrolment);
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    address = `127.0.0.1:${port}`;
    client = federationClient(address, credentials.createInsecure());
  });

  afterAll(() => {
    client.close();
    server.forceShutdown();
  });

  test('an instruction arrives with its kind and its message', async () => {
    const seen: unknown[] = [];
    const stream = client.connect({ minProtocol: 1, maxProtocol: 1, agentVersion: 'v', clockMs: 2 ** 41 });
    for await (const instruction of stream) seen.push(instruction);
    expect(seen).toMatchObject([{ id: '1', kind: 'cancel', cancel: { runId: 'run', round: 2, reason: 'v' } }]);
  });

  test('a message that the sender left out arrives as null', async () => {
    const report = { instructionId: 'i', runId: 'r', round: 1, fp32: null, klSum: 0 };
    expect((await client.reportEvaluation(report)).message).toBe('null');
  });

  test('a download gives the chunks as they were sent', async () => {
    const parts: Uint8Array[] = [];
    for await (const { data } of client.download({ hash: 'h', firstChunk: 0 })) parts.push(data);
    expect(parts.map(({ byteLength }) => byteLength)).toEqual([limits.chunkBytes, 5]);
    expect(Buffer.concat(parts).equals(blob)).toBe(true);
  });

  test('an upload carries its blob, from buffers with and without header room', async () => {
    const { chunks, receipt } = client.upload({ blob: { hash: 'abc', sizeBytes: blob.byteLength }, firstChunk: 0 });
    const first = allocateChunk(limits.chunkBytes);
    first.data.set(blob.subarray(0, limits.chunkBytes));
    chunks.write(first);
    chunks.write({ data: blob.subarray(limits.chunkBytes) });
    chunks.end();
    expect(await receipt).toEqual({ blob: { hash: 'abc', sizeBytes: blob.byteLength } });
  });

  test('a refused upload rejects its receipt with the status', async () => {
    const { receipt } = client.upload({ blob: { hash: 'abc', sizeBytes: 1 }, firstChunk: 3 });
    await expect(receipt).rejects.toMatchObject({ code: status.FAILED_PRECONDITION, details: 'the next chunk is 0' });
  });

  test('a call that is refused rejects with status and message', async () => {
    const state = client.uploadState({ blob: { hash: 'h', sizeBytes: 1 } });
    await expect(state).rejects.toMatchObject({ code: status.NOT_FOUND });
    const joining = enrolmentClient(address, credentials.createInsecure());
    const none = new Uint8Array(0);
    const request = { minProtocol: 1, maxProtocol: 1, agentVersion: '', token: 'x', csr: none, signingKey: none };
    await expect(joining.enrol({ ...request, agreementKey: none, proof: none, clockMs: 0 })).rejects.toMatchObject({
      code: status.UNAUTHENTICATED,
      details: 'no token x',
    });
    joining.close();
  });

  test('an aborted signal cancels a call that gets no answer', async () => {
    const stop = new AbortController();
    const call = client.reportInstalled({ instructionId: 'i', releaseId: 'r' }, { signal: stop.signal });
    stop.abort();
    await expect(call).rejects.toMatchObject({ code: status.CANCELLED });
  });

  test('the server announces a window of 4 MiB a stream and a connection', async () => {
    const http2 = await import('node:http2');
    const session = http2.connect(`http://${address}`);
    const settings = await new Promise<{ initialWindowSize?: number }>((resolve) => {
      session.once('remoteSettings', resolve);
    });
    // The connection's WINDOW_UPDATE follows the settings; a ping's answer comes after it.
    await new Promise<void>((resolve) => session.ping(() => resolve()));
    const connectionWindow = session.state.remoteWindowSize;
    session.close();
    expect(settings.initialWindowSize).toBe(limits.flowControlWindowBytes);
    expect(connectionWindow).toBe(limits.flowControlWindowBytes);
  });
});
