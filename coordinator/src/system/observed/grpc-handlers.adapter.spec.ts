/** Observed handlers behind a real gRPC server on loopback, called by the real client. */
import { credentials, Server, ServerCredentials, status, type UntypedServiceImplementation } from '@grpc/grpc-js';

import { federationClient, type FederationClient } from '@graft/protos/clients.adapter';
import { federationService } from '@graft/protos/service-definitions.adapter';
import { roundTraceparent } from '@graft/protos/trace/round-trace.adapter';
import { inTrace } from '@graft/protos/trace/trace-scope.adapter';

import { silentTelemetry, type SpanOptions } from '../telemetry.js';
import { observedHandlers } from './grpc-handlers.adapter.js';

let server: Server;
let client: FederationClient;
let counted: [string, object][];
let open: Map<string, number>;
let spans: { readonly name: string; readonly options: SpanOptions | undefined; error?: unknown }[];

const handlers: UntypedServiceImplementation = {
  heartbeat: (_call: unknown, respond: (error: null, answer: object) => void) => respond(null, { nextMs: 5 }),
  reportUpdate: (_call: unknown, respond: (error: object) => void) =>
    respond({ code: status.NOT_FOUND, details: 'no' }),
  download: (call: { write(chunk: object): void; end(): void }) => {
    call.write({ data: Buffer.from('x') });
    call.end();
  },
  connect: (call: { emit(event: string, error: object): void }) =>
    call.emit('error', { code: status.UNAVAILABLE, details: 'draining' }),
  upload: () => undefined,
};

beforeAll(async () => {
  const telemetry = {
    ...silentTelemetry,
    add: (name: string, labels: object) => void counted.push([name, labels]),
    move: (_name: string, { method }: { readonly method?: string }, by: number) =>
      void open.set(String(method), (open.get(String(method)) ?? 0) + by),
    span: (name: string, options?: SpanOptions) => {
      const span: (typeof spans)[number] = { name, options };
      spans.push(span);
      return { traceparent: '', set: () => undefined, end: (error?: unknown) => void (span.error = error) };
    },
  } as typeof silentTelemetry;
  server = new Server();
  server.addService(federationService, observedHandlers(federationService, handlers, telemetry));
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  client = federationClient(`127.0.0.1:${port}`, credentials.createInsecure());
});

beforeEach(() => {
  counted = [];
  open = new Map();
  spans = [];
});

afterAll(() => {
  client.close();
  server.forceShutdown();
});

const beat = { runId: 'r', round: 3, activity: 'training', progress: 0.5, loss: 1 };
const calls = (method: string, code: string): [string, object] => ['graft_grpc_calls_total', { method, status: code }];

/** The server hears of the end of a call a moment after the client. */
async function untilCounted(expected: [string, object]): Promise<void> {
  while (!counted.some((one) => JSON.stringify(one) === JSON.stringify(expected)))
    await new Promise((resolve) => setTimeout(resolve, 5));
}

test('a call is counted once by its status, and none stays open', async () => {
  await client.heartbeat(beat);
  await expect(client.reportUpdate({ manifest: new Uint8Array(1), signature: new Uint8Array(1) })).rejects.toThrow(
    'no',
  );
  const stream = client.download({ hash: 'a', firstChunk: 0 });
  for await (const chunk of stream) expect(chunk).toBeDefined();
  await untilCounted(calls('Download', 'OK'));
  expect(counted).toEqual(
    expect.arrayContaining([calls('Heartbeat', 'OK'), calls('ReportUpdate', 'NOT_FOUND'), calls('Download', 'OK')]),
  );
  expect(counted).toHaveLength(3);
  expect([...open.values()]).toEqual([0, 0, 0]);
});

test('a call that names its round stands in the trace of the round; a failed one carries its status', async () => {
  const traceparent = roundTraceparent('r', 3);
  await inTrace(traceparent, async () => client.heartbeat(beat));
  await client.heartbeat(beat);
  expect(spans.map(({ name, options }) => [name, options?.parent])).toEqual([
    ['grpc Heartbeat', traceparent],
    ['grpc Heartbeat', undefined],
  ]);
  await expect(client.reportUpdate({ manifest: new Uint8Array(1), signature: new Uint8Array(1) })).rejects.toThrow(
    'no',
  );
  expect(spans.at(-1)?.error).toEqual(new Error('NOT_FOUND'));
});

test('an instruction stream is counted when it ends, but is no span', async () => {
  const stream = client.connect({ minProtocol: 1, maxProtocol: 1, agentVersion: 'v', clockMs: 0 });
  stream.on('data', () => undefined);
  const code = await new Promise((resolve) => stream.once('error', (error) => resolve(Object(error).code)));
  expect(code).toBe(status.UNAVAILABLE);
  await untilCounted(calls('Connect', 'UNAVAILABLE'));
  expect(spans).toEqual([]);
});

test('a call that its agent gives up is counted as cancelled', async () => {
  const abort = new AbortController();
  const upload = client.upload({ blob: { hash: 'a', sizeBytes: 1 }, firstChunk: 0 }, { signal: abort.signal });
  upload.chunks.on('error', () => undefined);
  upload.chunks.write({ data: Buffer.from('x') });
  while ((open.get('Upload') ?? 0) === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  abort.abort();
  await expect(upload.receipt).rejects.toThrow('CANCELLED');
  await untilCounted(calls('Upload', 'CANCELLED'));
});
