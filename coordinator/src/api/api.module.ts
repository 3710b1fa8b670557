/** The admin API: controllers, and the services that they call. */
import { Module, type DynamicModule } from '@nestjs/common';

import { KeysController } from '../access/keys.controller.js';
import { AgentsController } from '../agents/agents.controller.js';
import { BlobsController } from '../blobs-api/blobs.controller.js';
import { TokensController } from '../enrolment/tokens.controller.js';
import { EventsController } from '../events/events.controller.js';
import { ModelsController } from '../models/models.controller.js';
import { ReleasesController } from '../releases/releases.controller.js';
import { RunsController } from '../runs/runs.controller.js';
import { HealthController, MetricsController, SystemController } from '../system/system.controller.js';
import { TasksController } from '../tasks/tasks.controller.js';
import { UpkeepController } from '../upkeep/upkeep.controller.js';
import { SERVICES, type Services } from './services.js';

/** Nest names a module by a class. */
@Module({})
// oxlint-disable-next-line typescript/no-extraneous-class -- the decorator says all there is to say
class ApiModule {}

const controllers = [
  AgentsController,
  KeysController,
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
  UpkeepController,
];

export function apiModule(services: Services): DynamicModule {
  return { module: ApiModule, controllers, providers: [{ provide: SERVICES, useValue: services }] };
}
