/** Spans against a small OTLP receiver over real HTTP. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { roundTraceparent } from '@graft/protos/trace/round-trace.adapter';

import { silentLog } from '../../server/log.js';
import { openSpans, type Spans } from './spans.adapter.js';

/** A span as OTLP/JSON writes it. */
interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly status: { readonly code?: number; readonly message?: string };
  readonly attributes: readonly { readonly key: string }[];
}

interface Batch {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly { readonly key: string; readonly value: unknown }[] };
    readonly scopeSpans: readonly { readonly spans: readonly ReceivedSpan[] }[];
  }[];
}

let server: Server;
let url: string;
let batches: { readonly path: string; readonly batch: Batch }[] = [];
let answer = 200;

beforeAll(async () => {
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (answer === 200)
        batches.push({ path: request.url ?? '', batch: JSON.parse(Buffer.concat(chunks).toString()) as Batch });
      response.writeHead(answer, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

beforeEach(() => {
  batches = [];
  answer = 200;
});

afterAll(() => server.close());

const service = { name: 'graft-coordinator', version: '1', instance: 'i' };
let dropped = 0;
const open = (to = url): Spans =>
  openSpans({ url: to, service, log: silentLog, dropped: (spans) => (dropped += spans), batchMs: 50 });

const received = (): readonly ReceivedSpan[] =>
  batches.flatMap(({ batch }) =>
    batch.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
  );

test('a round that is told of at its end has the ids that its parts named before', async () => {
  const spans = open();
  const traceparent = roundTraceparent('run', 3);
  const phase = spans.span('phase training', { parent: traceparent, startMs: 1_000, attributes: { round: 3 } });
  phase.end(undefined, 2_500);
  spans.span('round', { traceparent, startMs: 500 }).end(undefined, 3_000);
  spans.span('grpc Upload', { parent: phase }).end(new Error('DATA_LOSS'));
  await spans.close();
  expect(batches[0]?.path).toBe('/v1/traces');
  const [training, round, upload] = received();
  const [, traceId, spanId] = traceparent.split('-');
  expect(round).toMatchObject({ name: 'round', traceId, spanId });
  expect(round?.parentSpanId ?? '').toBe('');
  expect(training).toMatchObject({
    traceId,
    parentSpanId: spanId,
    startTimeUnixNano: '1000000000',
    endTimeUnixNano: '2500000000',
  });
  expect(training?.attributes.map(({ key }) => key)).toContain('round');
  expect(upload).toMatchObject({ traceId, parentSpanId: training?.spanId, status: { code: 2, message: 'DATA_LOSS' } });
  expect(JSON.stringify(batches[0]?.batch.resourceSpans[0]?.resource)).toContain('graft-coordinator');
});

test('a traceparent from outside that is malformed begins a trace of its own', async () => {
  const spans = open();
  spans.span('a', { parent: 'nonsense' }).end();
  spans.span('b').end();
  await spans.close();
  const [a, b] = received();
  expect(a?.traceId).toMatch(/^[0-9a-f]{32}$/u);
  expect(a?.traceId).not.toBe(b?.traceId);
  expect(a?.parentSpanId ?? '').toBe('');
});

test('a receiver that refuses is counted, and the coordinator goes on', async () => {
  answer = 400;
  dropped = 0;
  const spans = open();
  for (let i = 0; i < 3; i++) spans.span('lost').end();
  await spans.close();
  expect(dropped).toBe(3);
  expect(received()).toEqual([]);
});
