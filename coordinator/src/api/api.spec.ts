/** The admin API over HTTP on port 0; services are fakes, everything in front of them is real. */
import { request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { NestExpressApplication } from '@nestjs/platform-express';

import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import { sha256 } from '@graft/models/formats/sha256.adapter';

import { apiBlobs } from '../blobs-api/api-blobs.js';
import { eventFeed, type StoredEvent } from '../events/event-feed.js';
import { memoryBlobs, type MemoryBlobs } from '../federation/memory-blobs.contract.js';
import { silentLog } from '../server/log.js';
import type { Role } from '../access/roles.js';
import { silentTelemetry } from '../system/telemetry.js';
import { createApi } from './api-app.module.js';
import { idempotency } from './idempotency.adapter.js';
import { memoryAnswers } from './idempotency.contract.js';
import type { Services } from './services.js';

const invite = {
  id: 'i',
  name: 'lund',
  token: 'secret',
  server: 'h:1',
  fingerprint: 'f',
  command: 'c',
  expiresAtMs: 1,
};

let app: NestExpressApplication;
let url: string;
let blobs: MemoryBlobs;
let events: StoredEvent[];
let created: unknown[];
let lines: { readonly values: object; readonly message: string }[];
let counted: [string, object][];

beforeAll(async () => {
  blobs = memoryBlobs();
  events = [];
  created = [];
  lines = [];
  counted = [];
  const write = (values: object, message: string): void => void lines.push({ values, message });
  const feed = eventFeed(
    {
      read: async (after, limit) => events.filter(({ seq }) => seq > after).slice(0, limit),
      sleep: (ms, signal) =>
        new Promise((resolve) => {
          const timer = setTimeout(resolve, ms);
          signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
        }),
      log: silentLog,
    },
    { pollMs: 5, heartbeatMs: 20 },
  );
  const services = {
    blobs: apiBlobs(blobs),
    events: feed,
    tokens: {
      list: async () => [],
      create: async (body: unknown) => (created.push(body), invite),
      revoke: async (id: string) => {
        throw new GraftError('NOT_FOUND', `no token ${id}`);
      },
    },
    agents: {
      list: async () => {
        throw new Error('password of the database is hunter2');
      },
    },
    models: { list: async () => [] },
    tasks: { create: async (spec: unknown) => (created.push(spec), { id: 't' }) },
    health: {
      ready: async () => {
        throw new GraftError('UNAVAILABLE', 'the coordinator is starting');
      },
    },
    metrics: { contentType: 'text/plain; version=0.0.4', text: async () => 'graft_runs 1\n' },
  } as unknown as Services;
  app = await createApi({
    services,
    callerOf: async (key) =>
      ['viewer', 'operator', 'admin'].includes(key) ? { keyId: key, name: key, role: key as Role } : undefined,
    idempotency: idempotency(memoryAnswers(100), { nowMs: () => 0 }, silentLog),
    log: { debug: write, info: write, warn: write, error: write },
    telemetry: { ...silentTelemetry, add: (name, labels) => void counted.push([name, labels]) },
    nestLog: { log: () => undefined, warn: () => undefined, error: () => undefined },
    version: '0.1.0',
  });
  await app.listen(0, '127.0.0.1');
  url = `http://127.0.0.1:${(app.getHttpServer().address() as AddressInfo).port}`;
});

afterAll(async () => {
  await app.close();
});

beforeEach(() => {
  created.length = 0;
});

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

async function call(
  method: string,
  path: string,
  options: { key?: string; json?: unknown; headers?: Record<string, string>; raw?: string } = {},
): Promise<Answer> {
  const { key = 'operator', json, raw } = options;
  const text = raw ?? (json === undefined ? undefined : JSON.stringify(json));
  const response = await fetch(url + path, {
    method,
    headers: {
      ...(key === '' ? {} : { authorization: `Bearer ${key}` }),
      ...(text === undefined ? {} : { 'content-type': 'application/json' }),
      ...options.headers,
    },
    ...(text === undefined ? {} : { body: text }),
  });
  const answer = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json') === true;
  return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(answer) : { text: answer } };
}

describe('who may do what', () => {
  test('a request without a key, or with an unknown one, is told to bring one', async () => {
    for (const key of ['', 'guessed']) {
      const { status, headers, body } = await call('GET', '/api/v1/models', { key });
      expect(status).toBe(401);
      expect(headers.get('content-type')).toContain('application/problem+json');
      expect(headers.get('www-authenticate')).toContain('Bearer');
      expect(body).toMatchObject({
        code: 'UNAUTHENTICATED',
        number: 'GRAFT-1005',
        fix: expect.stringContaining('--key'),
      });
    }
  });

  test('a viewer reads, and is told which role writing needs', async () => {
    expect((await call('GET', '/api/v1/models', { key: 'viewer' })).status).toBe(200);
    const { status, body } = await call('POST', '/api/v1/enrolment-tokens', { key: 'viewer', json: { name: 'lund' } });
    expect(status).toBe(403);
    expect(body).toMatchObject({ code: 'FORBIDDEN', detail: expect.stringContaining('needs operator') });
    expect((await call('GET', `/api/v1/blobs/${'0'.repeat(64)}`, { key: 'viewer' })).status).toBe(403);
    expect(created).toEqual([]);
  });

  test('health needs no key, metrics do', async () => {
    expect((await call('GET', '/health/live', { key: '' })).body).toEqual({ status: 'ok' });
    expect(await call('GET', '/health/ready', { key: '' })).toMatchObject({
      status: 503,
      body: { code: 'UNAVAILABLE', retryable: true },
    });
    expect((await call('GET', '/metrics', { key: '' })).status).toBe(401);
    expect((await call('GET', '/metrics', { key: 'viewer' })).body).toEqual({ text: 'graft_runs 1\n' });
  });
});

describe('bodies', () => {
  test('a body is checked, and gets its defaults', async () => {
    expect(await call('POST', '/api/v1/enrolment-tokens', { json: { name: 'lund' } })).toMatchObject({
      status: 201,
      body: invite,
    });
    expect(created).toEqual([{ name: 'lund', expiresInMs: 86_400_000, approval: false }]);
  });

  test.each([
    ['no body', undefined],
    ['a wrong name', { name: 'Lund University' }],
    ['an unknown field', { name: 'lund', role: 'admin' }],
    ['a list', [1, 2]],
    ['a number too large', { name: 'lund', expiresInMs: 1e300 }],
  ])('%s is refused, and the field named', async (_what, json) => {
    const { status, body } = await call('POST', '/api/v1/enrolment-tokens', { json });
    expect(status).toBe(400);
    expect(body).toMatchObject({
      code: 'INVALID_REQUEST',
      detail: expect.stringMatching(/name|role|object|expiresInMs/u),
    });
    expect(created).toEqual([]);
  });

  test('what is no JSON, and what is far too much of it, is refused', async () => {
    expect(await call('POST', '/api/v1/enrolment-tokens', { raw: '{"name":' })).toMatchObject({
      status: 400,
      body: { code: 'INVALID_REQUEST' },
    });
    const huge = JSON.stringify({ name: 'x'.repeat(5 << 20) });
    expect(await call('POST', '/api/v1/enrolment-tokens', { raw: huge })).toMatchObject({
      status: 413,
      body: { code: 'TOO_LARGE' },
    });
    const labels = JSON.stringify({ labels: Array.from({ length: 200_000 }, () => 0), kind: 'fit' });
    const { status, body } = await call('POST', '/api/v1/tasks', { raw: labels });
    expect(status).toBe(400);
    expect(JSON.stringify(body).length).toBeLessThan(6_000);
  });

  test('__proto__ in a body changes nothing', async () => {
    const { status } = await call('POST', '/api/v1/enrolment-tokens', {
      raw: '{"name":"lund","__proto__":{"approval":true}}',
    });
    expect(created.length === 0 || !(created[0] as { approval: boolean }).approval).toBe(true);
    expect([201, 400]).toContain(status);
  });
});

describe('errors', () => {
  test('an error of ours says nothing of its insides', async () => {
    const { status, body } = await call('GET', '/api/v1/agents');
    expect(status).toBe(500);
    expect(JSON.stringify(body)).not.toContain('hunter2');
    expect(body).toMatchObject({ code: 'INTERNAL', instance: '/api/v1/agents' });
  });

  test('a path that is not there is a problem like any other', async () => {
    expect(await call('GET', '/api/v1/nothing')).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } });
    expect(await call('POST', '/api/v1/enrolment-tokens/x/revoke')).toMatchObject({
      status: 404,
      body: { detail: 'no token x' },
    });
  });
});

describe('Idempotency-Key', () => {
  const headers = { 'idempotency-key': 'k-1' };

  test('a repeated POST gets the first answer and does nothing', async () => {
    const first = await call('POST', '/api/v1/enrolment-tokens', { json: { name: 'oslo' }, headers });
    const second = await call('POST', '/api/v1/enrolment-tokens', { json: { name: 'oslo' }, headers });
    expect(second.body).toEqual(first.body);
    expect(second.headers.get('idempotent-replayed')).toBe('true');
    expect(created).toHaveLength(1);
  });

  test('the same key for another request is a mistake; another caller’s key is another key', async () => {
    await call('POST', '/api/v1/enrolment-tokens', { json: { name: 'oslo' }, headers });
    expect(await call('POST', '/api/v1/enrolment-tokens', { json: { name: 'lund' }, headers })).toMatchObject({
      status: 400,
      body: { detail: expect.stringContaining('Idempotency-Key') },
    });
    expect(
      await call('POST', '/api/v1/enrolment-tokens', { key: 'admin', json: { name: 'lund' }, headers }),
    ).toMatchObject({ status: 201 });
  });

  test('a failed request may be tried again', async () => {
    const again = { 'idempotency-key': 'k-2' };
    expect((await call('POST', '/api/v1/enrolment-tokens', { json: {}, headers: again })).status).toBe(400);
    expect((await call('POST', '/api/v1/enrolment-tokens', { json: {}, headers: again })).status).toBe(400);
    expect(
      (await call('POST', '/api/v1/enrolment-tokens', { json: {}, headers: { 'idempotency-key': 'no spaces' } }))
        .status,
    ).toBe(400);
  });
});

describe('blobs', () => {
  const bytes = new Uint8Array(2 * limits.chunkBytes + 3).fill(7);
  const put = async (path: string, body: Uint8Array): Promise<Answer> => {
    const response = await fetch(`${url}/api/v1/blobs/${path}`, {
      method: 'PUT',
      headers: { authorization: 'Bearer operator', 'content-type': 'application/octet-stream' },
      body: Uint8Array.from(body),
    });
    return {
      status: response.status,
      headers: response.headers,
      body: (await response.json()) as Record<string, unknown>,
    };
  };

  test('a file is stored by its hash, once, and comes back as it was', async () => {
    const hash = sha256(bytes);
    expect(await put(hash, bytes)).toMatchObject({ status: 200, body: { hash, sizeBytes: bytes.length } });
    expect(await put(hash, bytes)).toMatchObject({ status: 200 });
    const back = await fetch(`${url}/api/v1/blobs/${hash}`, { headers: { authorization: 'Bearer operator' } });
    expect(sha256(new Uint8Array(await back.arrayBuffer()))).toBe(hash);
  });

  test('another content, and a hash that is none, are refused', async () => {
    expect(await put(sha256(new Uint8Array(1)), bytes)).toMatchObject({ status: 422, body: { code: 'BLOB_CORRUPT' } });
    expect(await put('..%2F..%2Fetc%2Fpasswd', bytes)).toMatchObject({
      status: 400,
      body: { code: 'INVALID_REQUEST' },
    });
  });

  test('a file larger than the limit is refused before it is read', async () => {
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const request = httpRequest(`${url}/api/v1/blobs/${'a'.repeat(64)}`, {
        method: 'PUT',
        headers: { authorization: 'Bearer operator', 'content-length': 3 * 1024 ** 3 },
      });
      request.on('response', (response) => {
        resolve(response.statusCode);
        request.destroy();
      });
      request.on('error', reject);
      request.flushHeaders();
    });
    expect(status).toBe(413);
  });
});

describe('events', () => {
  async function frames(headers: Record<string, string>, path: string, count: number): Promise<string[]> {
    const end = new AbortController();
    const response = await fetch(`${url}/api/v1/events${path}`, {
      headers: { authorization: 'Bearer viewer', ...headers },
      signal: end.signal,
    });
    const reader = response.body?.getReader();
    let text = '';
    while (text.split('\n\n').length <= count) text += new TextDecoder().decode((await reader?.read())?.value);
    end.abort();
    return text.split('\n\n').slice(0, count);
  }

  test('events come with their number, after the last one that is known, and silence has a heartbeat', async () => {
    events.push(...[1, 2, 3].map((seq): StoredEvent => ({ seq, atMs: 0, kind: 'k', data: {} })));
    expect(await frames({}, '?after=1', 3)).toEqual([
      expect.stringContaining('id: 2\ndata: {"seq":2'),
      expect.stringContaining('id: 3'),
      ': still here',
    ]);
    expect((await frames({ 'last-event-id': '2' }, '', 1))[0]).toContain('id: 3');
    expect((await call('GET', '/api/v1/events?after=x')).status).toBe(400);
  });
});

describe('a request', () => {
  test('has an id that is answered, logged with the caller, and kept where a proxy gave one', async () => {
    const ask = async (headers: Record<string, string>): Promise<string | null> => {
      const response = await fetch(`${url}/api/v1/models`, { headers: { authorization: 'Bearer viewer', ...headers } });
      return response.headers.get('x-request-id');
    };
    expect(await ask({ 'x-request-id': 'proxy-7' })).toBe('proxy-7');
    const own = await ask({ 'x-request-id': 'a b' });
    expect(own).toMatch(/^[0-9a-f-]{36}$/u);
    const about = { method: 'GET', path: '/api/v1/models', status: 200, caller: 'viewer' };
    await untilLogged('proxy-7');
    expect(lines.map(({ values }) => values)).toContainEqual({
      requestId: 'proxy-7',
      ms: expect.any(Number),
      ...about,
    });
    expect(counted).toContainEqual(['graft_http_requests_total', { method: 'GET', status: '200' }]);
  });

  test('that fails unexpectedly is logged whole, under its id', async () => {
    await fetch(`${url}/api/v1/agents`, { headers: { authorization: 'Bearer viewer', 'x-request-id': 'bad-1' } });
    const line = lines.find(({ message }) => message === 'a request failed unexpectedly');
    expect(line?.values).toMatchObject({ requestId: expect.any(String), err: expect.any(Error) });
    await untilLogged('bad-1');
  });

  test('of a probe leaves no line', async () => {
    await fetch(`${url}/health/live`);
    expect(JSON.stringify(lines)).not.toContain('/health/live');
  });

  /** The line comes when the connection has taken the answer, which may be after the client has it. */
  async function untilLogged(requestId: string): Promise<void> {
    while (!lines.some(({ values }) => Object(values).requestId === requestId && 'ms' in values))
      await new Promise((resolve) => setTimeout(resolve, 5));
  }
});

test('the OpenAPI document names every path with its schemas', async () => {
  const { body } = await call('GET', '/openapi.json', { key: '' });
  expect(body['openapi']).toBe('3.1.0');
  const paths = body['paths'] as Record<
    string,
    Record<string, { requestBody?: unknown; responses: Record<string, unknown> }>
  >;
  expect(Object.keys(paths).sort()).toEqual(
    expect.arrayContaining([
      '/api/v1/agents',
      '/api/v1/agents/{agent}/revoke',
      '/api/v1/blobs/{hash}',
      '/api/v1/enrolment-tokens',
      '/api/v1/events',
      '/api/v1/models',
      '/api/v1/releases/{release}/model.onnx',
      '/api/v1/runs/{run}/rounds',
      '/api/v1/tasks',
      '/health/live',
      '/metrics',
    ]),
  );
  const create = paths['/api/v1/enrolment-tokens']?.['post'];
  expect(JSON.stringify(create?.requestBody)).toContain('expiresInMs');
  expect(JSON.stringify(create?.responses['201'])).toContain('fingerprint');
  expect(JSON.stringify(create?.responses['default'])).toContain('problem+json');
});
