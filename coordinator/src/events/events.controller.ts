/** /events: server-sent events (WHATWG HTML, 'Server-sent events'). */
import { Controller, Get, Headers, Inject, Query, Res } from '@nestjs/common';
import { ApiOperation, ApiProduces, ApiQuery, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { once } from 'node:events';
import { z } from 'zod';

import { SERVICES, type Services } from '../api/services.js';
import type { StoredEvent } from './event-feed.js';

const seqSchema = z.coerce.number().int().min(0).optional();

@ApiTags('events')
@Controller('events')
export class EventsController {
  constructor(@Inject(SERVICES) private readonly services: Services) {}

  @Get()
  @ApiOperation({ summary: 'Everything that happens, as server-sent events; goes on after Last-Event-ID or `after`' })
  @ApiQuery({ name: 'after', required: false, description: 'number of the last event that is known already' })
  @ApiProduces('text/event-stream')
  @ApiResponse({ status: 200, schema: { type: 'string' } })
  async follow(
    @Query('after', { schema: seqSchema }) after: number | undefined,
    @Headers('last-event-id') lastEventId: string | undefined,
    @Res() response: Response,
  ): Promise<void> {
    const resumed = /^\d{1,15}$/u.test(lastEventId ?? '') ? Number(lastEventId) : undefined;
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache',
      'x-accel-buffering': 'no',
    });
    response.flushHeaders();
    for await (const event of this.services.events.follow(resumed ?? after ?? 0, gone.signal)) {
      if (gone.signal.aborted) return;
      if (!response.write(frameOf(event))) await Promise.race([once(response, 'drain'), once(response, 'close')]);
    }
    response.end();
  }
}

function frameOf(event: StoredEvent | undefined): string {
  return event === undefined ? ': still here\n\n' : `id: ${event.seq}\ndata: ${JSON.stringify(event)}\n\n`;
}
