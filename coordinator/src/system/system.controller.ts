/** /system, /health and /metrics. */
import { Controller, Get, Inject, Res } from '@nestjs/common';
import { ApiOperation, ApiProduces, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { z } from 'zod';

import { Needs } from '../access/api-key.guard.js';
import { SERVICES, type Services } from '../api/services.js';
import { systemSchema, type SystemReport } from './system.js';

const okSchema = z.object({ status: z.literal('ok') });
type Ok = z.infer<typeof okSchema>;

@ApiTags('system')
@Controller('system')
export class SystemController {
  constructor(@Inject(SERVICES) private readonly services: Services) {}

  @Get()
  @ApiOperation({ summary: 'Version, addresses, memory, event-loop delay and bytes of this coordinator' })
  @ApiResponse({ status: 200, standardSchema: systemSchema })
  get(): SystemReport {
    return this.services.system();
  }
}

@ApiTags('system')
@Needs('public')
@Controller('health')
export class HealthController {
  constructor(@Inject(SERVICES) private readonly services: Services) {}

  @Get('live')
  @ApiOperation({ summary: 'The process answers' })
  @ApiResponse({ status: 200, standardSchema: okSchema })
  live(): Ok {
    return { status: 'ok' };
  }

  @Get('ready')
  @ApiOperation({ summary: 'Store and agents can be served; 503 while starting or stopping' })
  @ApiResponse({ status: 200, standardSchema: okSchema })
  async ready(): Promise<Ok> {
    await this.services.health.ready();
    return { status: 'ok' };
  }
}

@ApiTags('system')
@Controller('metrics')
export class MetricsController {
  constructor(@Inject(SERVICES) private readonly services: Services) {}

  @Get()
  @ApiOperation({ summary: 'Prometheus metrics' })
  @ApiProduces('text/plain')
  @ApiResponse({ status: 200, schema: { type: 'string' } })
  async get(@Res() response: Response): Promise<void> {
    response.setHeader('content-type', this.services.metrics.contentType);
    response.send(await this.services.metrics.text());
  }
}
