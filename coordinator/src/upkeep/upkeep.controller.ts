/** /backups and /sweeps: for admins alone. */
import { Body, Controller, HttpCode, Inject, Post } from '@nestjs/common';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';

import { Needs } from '../access/api-key.guard.js';
import { SERVICES, type Services } from '../api/services.js';
import {
  backupBodySchema,
  backupViewSchema,
  sweepBodySchema,
  sweepViewSchema,
  type BackupBody,
  type BackupView,
  type SweepBody,
  type SweepView,
} from './upkeep.js';

@ApiTags('upkeep')
@Needs('admin')
@Controller()
export class UpkeepController {
  constructor(@Inject(SERVICES) private readonly services: Services) {}

  @Post('backups')
  @ApiOperation({ summary: 'Write database, blobs and keys into a folder of the coordinator’s machine, while it runs' })
  @ApiResponse({ status: 201, standardSchema: backupViewSchema })
  async backup(@Body({ schema: backupBodySchema }) body: BackupBody): Promise<BackupView> {
    return this.services.upkeep.backup(body);
  }

  @Post('sweeps')
  @HttpCode(200)
  @ApiOperation({ summary: 'Remove what nothing needs any more; with dryRun, say what that would be' })
  @ApiResponse({ status: 200, standardSchema: sweepViewSchema })
  async sweep(@Body({ schema: sweepBodySchema }) body: SweepBody): Promise<SweepView> {
    return this.services.upkeep.sweep(body);
  }
}
