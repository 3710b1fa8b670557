/** The admin API as an application: guard, checks, errors, limits; not yet listening. */
import { StandardSchemaValidationPipe, type LoggerService } from '@nestjs/common';
import { NestFactory, Reflector } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import helmet from 'helmet';
import type { Request, RequestHandler, Response } from 'express';

import { ApiKeyGuard } from '../access/api-key.guard.js';
import type { Caller } from '../access/roles.js';
import type { Log } from '../server/log.js';
import { httpRequests } from '../system/http-requests.adapter.js';
import type { Telemetry } from '../system/telemetry.js';
import { apiModule } from './api.module.js';
import { invalidBody } from './checked-body.js';
import { openApiDocument } from './open-api.module.js';
import { ProblemFilter } from './problem.filter.js';
import type { Services } from './services.js';

export interface ApiOptions {
  readonly services: Services;
  readonly callerOf: (key: string) => Promise<Caller | undefined>;
  /** Answers a repeated POST with its first answer. */
  readonly idempotency: RequestHandler;
  readonly log: Log;
  readonly telemetry: Telemetry;
  readonly nestLog: LoggerService;
  readonly version: string;
}

/** JSON bodies: a task's labels are the largest. */
const jsonLimitBytes = 4 << 20;

export async function createApi(options: ApiOptions): Promise<NestExpressApplication> {
  const app = await NestFactory.create<NestExpressApplication>(apiModule(options.services), {
    bodyParser: false,
    logger: options.nestLog,
    abortOnError: false,
  });
  app.use(httpRequests(options.telemetry, options.log));
  app.use(helmet());
  // An ETag hashes every answer on the event loop, a downloaded model too.
  app.set('etag', false);
  app.useBodyParser('json', { limit: jsonLimitBytes });
  app.use(options.idempotency);
  app.setGlobalPrefix('api/v1', { exclude: ['health/live', 'health/ready', 'metrics'] });
  app.useGlobalGuards(new ApiKeyGuard(app.get(Reflector), options.callerOf));
  app.useGlobalPipes(new StandardSchemaValidationPipe({ exceptionFactory: invalidBody }));
  app.useGlobalFilters(new ProblemFilter(options.log));
  const document = JSON.stringify(openApiDocument(app, options.version));
  app.use('/openapi.json', (_request: Request, response: Response) => {
    response.type('application/json').send(document);
  });
  await app.init();
  return app;
}
