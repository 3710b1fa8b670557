/** The admin API: controllers, and the services that they call. */
import { Module, type DynamicModule } from '@nestjs/common';

import { AgentsController } from '../agents/agents.controller.js';
import { BlobsController } from '../blobs-api/blobs.controller.js';
import { TokensController } from '../enrolment/tokens.controller.js';
import { EventsController } from '../events/events.controller.js';
import { ModelsController } from '../models/models.controller.js';
import { ReleasesController } from '../releases/releases.controller.js';
import { RunsController } from '../runs/runs.controller.js';
import { HealthController, MetricsController, SystemController } from '../system/system.controller.js';
import { TasksController } from '../tasks/tasks.controller.js';
import { SERVICES, type Services } from './services.js';

@Module({
  controllers: [
    AgentsController,
    BlobsController,
    TokensController,
    EventsController,
    ModelsController,
    ReleasesController,
    RunsController,
    HealthController,
    MetricsController,
    SystemController,
    TasksController,
  ],
})
export class ApiModule {
  static with(services: Services): DynamicModule {
    return { module: ApiModule, providers: [{ provide: SERVICES, useValue: services }] };
  }
}
