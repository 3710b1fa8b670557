/** Idempotency-Key as express middleware: before the router, so that every POST has it. */
import { createHash } from 'node:crypto';

import type { Request, RequestHandler, Response } from 'express';

import type { Clock } from '@graft/core/clock';
import { GraftError } from '@graft/core/error';

import type { Log } from '../server/log.js';
import { earlierAnswer, type AnswerStore, type Attempt } from './idempotency.js';

interface KeyedRequest {
  readonly store: AnswerStore;
  readonly attempt: Attempt;
  readonly atMs: number;
  readonly log: Log;
}

const keyForm = /^[\w.:-]{1,128}$/u;

export function idempotency(store: AnswerStore, clock: Clock, log: Log): RequestHandler {
  const answer = async (request: Request, response: Response): Promise<boolean> => {
    const key = request.headers['idempotency-key'];
    if (request.method !== 'POST' || key === undefined) return false;
    if (typeof key !== 'string' || !keyForm.test(key)) {
      throw new GraftError('INVALID_REQUEST', 'an Idempotency-Key has 1 to 128 letters, digits and . : - _');
    }
    const attempt: Attempt = {
      id: hash(request.headers.authorization ?? '', key),
      requestHash: hash(request.method, request.originalUrl, JSON.stringify(request.body ?? null)),
    };
    return answeredBefore({ store, attempt, atMs: clock.nowMs(), log }, response);
  };
  return async (request, response, next) => {
    if (!(await answer(request, response))) next();
  };
}

/** True where an earlier answer was sent; else the answer to come is kept. */
async function answeredBefore(request: KeyedRequest, response: Response): Promise<boolean> {
  const earlier = await earlierAnswer(request.store, request.attempt, request.atMs);
  if (earlier === undefined) {
    keepAnswer(request, response);
    return false;
  }
  response.status(earlier.status).type('application/json').setHeader('idempotent-replayed', 'true').send(earlier.body);
  return true;
}

/** Notes what is sent; only what succeeded is given again. */
function keepAnswer({ store, attempt, log }: KeyedRequest, response: Response): void {
  const send = response.send.bind(response);
  let body: unknown;
  response.send = (value) => {
    body = value;
    return send(value);
  };
  response.once('close', () => {
    const done = response.writableFinished && response.statusCode < 300 && typeof body === 'string';
    const kept = done
      ? store.finish(attempt, { status: response.statusCode, body: String(body) })
      : store.forget(attempt);
    kept.catch((error: unknown) => log.error({ err: error }, 'an answer could not be kept'));
  });
}

function hash(...parts: readonly string[]): string {
  return createHash('sha256').update(parts.join('\0')).digest('hex');
}
