/** Every error of the admin API as problem+json; what is no GraftError is logged whole and told without its words. */
import { Catch, HttpException, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { Request, Response } from 'express';

import { GraftError } from '@graft/core/error';

import type { Log } from '../server/log.js';
import { databaseAway } from '../store/connection-loss.js';
import { codeOfStatus, problemOf } from './problem.js';

@Catch()
export class ProblemFilter implements ExceptionFilter {
  constructor(private readonly log: Log) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<Request>();
    const response = http.getResponse<Response>();
    const problem = problemOf(this.graftErrorOf(error, request.headers['x-request-id']), request.path);
    if (response.headersSent) {
      response.destroy();
      return;
    }
    if (problem.status === 401) response.setHeader('www-authenticate', 'Bearer realm="graft"');
    response.status(problem.status).type('application/problem+json').send(JSON.stringify(problem));
  }

  private graftErrorOf(error: unknown, requestId: unknown): GraftError {
    if (error instanceof GraftError) {
      if (error.code === 'INTERNAL') this.log.error({ err: error, requestId }, 'a request failed unexpectedly');
      return error;
    }
    if (error instanceof HttpException)
      return new GraftError(codeOfStatus(error.getStatus()), messageOf(error), { cause: error });
    if (isHttpError(error)) return new GraftError(codeOfStatus(error.status), error.message, { cause: error });
    const away = databaseAway(error);
    if (away !== undefined) {
      this.log.warn({ err: error, requestId }, 'a request failed: the database is away');
      return away;
    }
    this.log.error({ err: error, requestId }, 'a request failed unexpectedly');
    return new GraftError('INTERNAL', 'unexpected error in the coordinator', { cause: error });
  }
}

function messageOf(error: HttpException): string {
  const body = error.getResponse();
  const message = typeof body === 'object' && 'message' in body ? body.message : undefined;
  return Array.isArray(message) ? message.join('; ').slice(0, 4_000) : error.message;
}

/** What express's body readers throw, such as 'entity.too.large'. */
function isHttpError(error: unknown): error is { readonly status: number; readonly message: string } {
  return error instanceof Error && 'status' in error && typeof error.status === 'number' && error.status < 500;
}
