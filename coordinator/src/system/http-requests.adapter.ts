/** Requests of the admin API: each has an id, is counted and timed, and leaves one line in the log. */
import { randomUUID } from 'node:crypto';
import { performance } from 'node:perf_hooks';

import type { RequestHandler } from 'express';

import type { AdmittedRequest } from '../access/api-key.guard.js';
import type { Log } from '../server/log.js';
import type { Telemetry } from './telemetry.js';

/** The header that carries the id in both directions; one that a proxy gave is kept. */
export const requestIdHeader = 'x-request-id';

const idForm = /^[\w.:-]{1,128}$/u;
const methods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** Probes and scrapes come every few seconds and say nothing. */
const isQuiet = (path: string): boolean => path.startsWith('/health/') || path === '/metrics';

export function httpRequests(telemetry: Telemetry, log: Log): RequestHandler {
  return (request: AdmittedRequest, response, next) => {
    const startedAtMs = performance.now();
    const given = request.headers[requestIdHeader];
    const requestId = typeof given === 'string' && idForm.test(given) ? given : randomUUID();
    const { path } = request;
    const method = methods.has(request.method) ? request.method : 'other';
    request.headers[requestIdHeader] = requestId;
    response.setHeader(requestIdHeader, requestId);
    response.once('close', () => {
      const ms = performance.now() - startedAtMs;
      const status = response.writableFinished ? response.statusCode : 499;
      telemetry.add('graft_http_requests_total', { method, status: String(status) });
      // A stream of events is open as long as somebody watches.
      if (!path.endsWith('/events')) telemetry.observe('graft_http_request_seconds', { method }, ms / 1000);
      if (isQuiet(path)) return;
      const line = { requestId, method, path, status, ms: Math.round(ms), caller: request.caller?.name };
      if (status >= 500) log.warn(line, 'a request failed');
      else if (method === 'GET') log.debug(line, 'request');
      else log.info(line, 'request');
    });
    next();
  };
}
