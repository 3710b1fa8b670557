/** The admin API from the outside: one function a verb, errors as the coordinator words them. */
import { GraftError, errorCatalogue, type ErrorCode } from '@graft/core/error';

export interface AdminApi {
  readonly url: string;
  get<T>(path: string): Promise<T>;
  post<T>(path: string, body?: unknown): Promise<T>;
  put<T>(path: string, body: Uint8Array): Promise<T>;
  /** Bytes of a download. */
  bytes(path: string): Promise<Uint8Array>;
  /** Server-sent events from `after` on; ends when the signal aborts, reconnects by itself until then. */
  events(after: number, signal: AbortSignal): AsyncGenerator<ApiEvent>;
}

export interface ApiEvent {
  readonly seq: number;
  readonly atMs: number;
  readonly kind: string;
  readonly runId?: string;
  readonly data: Readonly<Record<string, unknown>>;
}

type ApiRequest = Omit<RequestInit, 'headers' | 'method'> & { readonly headers?: Readonly<Record<string, string>> };

interface Problem {
  readonly code?: string;
  readonly detail?: string;
  readonly title?: string;
}

const isErrorCode = (code: string | undefined): code is ErrorCode => code !== undefined && code in errorCatalogue;

export function adminApi(url: string, key: string | undefined): AdminApi {
  const base = `${url.replace(/\/$/, '')}/api/v1`;
  const request = async (method: string, path: string, { headers, ...init }: ApiRequest = {}): Promise<Response> => {
    let response: Response;
    try {
      response = await fetch(base + path, {
        ...init,
        method,
        headers: { ...headers, ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) },
      });
    } catch (error) {
      if (error instanceof Error && error.name === 'AbortError') throw error;
      throw new GraftError('UNAVAILABLE', `no coordinator answers at ${url}`, {
        cause: error instanceof Error ? (error.cause ?? error) : error,
      });
    }
    if (response.ok) return response;
    throw await problemOf(response, method, path);
  };
  const json = async <T>(response: Promise<Response>): Promise<T> => {
    const text = await (await response).text();
    return (text === '' ? undefined : JSON.parse(text)) as T;
  };
  return {
    url,
    get: (path) => json(request('GET', path)),
    post: (path, body) =>
      json(
        request(
          'POST',
          path,
          body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } },
        ),
      ),
    put: (path, body) =>
      json(
        request('PUT', path, { body: new Uint8Array(body), headers: { 'content-type': 'application/octet-stream' } }),
      ),
    bytes: async (path) => new Uint8Array(await (await request('GET', path)).arrayBuffer()),
    events: (after, signal) => followEvents((path, init) => request('GET', path, init), after, signal),
  };
}

async function problemOf(response: Response, method: string, path: string): Promise<GraftError> {
  const text = await response.text();
  let problem: Problem = {};
  try {
    problem = JSON.parse(text) as Problem;
  } catch (error) {
    return new GraftError('INTERNAL', `${method} ${path} answered ${response.status}: ${text.slice(0, 200)}`, {
      cause: error,
    });
  }
  const code = isErrorCode(problem.code) ? problem.code : response.status === 401 ? 'UNAUTHENTICATED' : 'INTERNAL';
  return new GraftError(code, problem.detail ?? problem.title ?? `${method} ${path} answered ${response.status}`);
}

async function* followEvents(
  open: (path: string, init: ApiRequest) => Promise<Response>,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<ApiEvent> {
  let last = after;
  while (!signal.aborted) {
    try {
      const response = await open(`/events?after=${last}`, { signal, headers: { accept: 'text/event-stream' } });
      for await (const event of parseEvents(response)) {
        last = event.seq;
        yield event;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof GraftError && !error.row.retryable) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}

async function* parseEvents(response: Response): AsyncGenerator<ApiEvent> {
  if (response.body === null) return;
  let pending = '';
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    pending += piece;
    for (let end = pending.indexOf('\n\n'); end >= 0; end = pending.indexOf('\n\n')) {
      const data = pending
        .slice(0, end)
        .split('\n')
        .filter((line) => line.startsWith('data:'))
        .map((line) => line.slice(5).trim())
        .join('\n');
      pending = pending.slice(end + 2);
      if (data !== '') yield JSON.parse(data) as ApiEvent;
    }
  }
}
