/** /runs: start, stop and look at runs and their rounds. */
import { Body, Controller, Get, HttpCode, Inject, Param, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiQuery, ApiResponse, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';

import { SERVICES, type Services } from '../api/services.js';
import { agentsOf, roundAgent } from './round-agents.js';
import {
  checkpointViewSchema,
  roundDetailSchema,
  roundViewSchema,
  runViewSchema,
  startRunSchema,
  stopRunSchema,
  type CheckpointView,
  type RoundDetail,
  type RoundView,
  type RunView,
  type StartRun,
} from './run-view.js';

const roundNumber = z.coerce.number().int().min(0).max(1_000_000);

@ApiTags('runs')
@Controller('runs')
export class RunsController {
  constructor(@Inject(SERVICES) private readonly services: Services) {}

  @Get()
  @ApiOperation({ summary: 'All runs, newest first' })
  @ApiResponse({ status: 200, standardSchema: z.array(runViewSchema) })
  async list(): Promise<readonly RunView[]> {
    return this.services.runs.list();
  }

  @Get(':run')
  @ApiOperation({ summary: 'One run' })
  @ApiResponse({ status: 200, standardSchema: runViewSchema })
  async get(@Param('run') run: string): Promise<RunView> {
    return this.services.runs.get(run);
  }

  @Post()
  @ApiOperation({ summary: 'Start a run of a task' })
  @ApiResponse({ status: 201, standardSchema: runViewSchema })
  async start(@Body({ schema: startRunSchema }) { taskId, rounds, seed }: StartRun): Promise<RunView> {
    const task = await this.services.tasks.get(taskId);
    const id = await this.services.rounds.start(task.id, { seed, ...(rounds !== undefined && { rounds }) });
    return this.services.runs.get(id);
  }

  @Post(':run/stop')
  @HttpCode(200)
  @ApiOperation({ summary: 'Stop a run; what was committed stays' })
  @ApiResponse({ status: 200, standardSchema: runViewSchema })
  async stop(
    @Param('run') run: string,
    @Body({ schema: stopRunSchema.prefault({}) }) body: z.infer<typeof stopRunSchema>,
  ): Promise<RunView> {
    await this.services.rounds.stop(run, body.reason);
    return this.services.runs.get(run);
  }

  @Get(':run/rounds')
  @ApiOperation({ summary: 'Rounds of a run with their detail per agent, in order' })
  @ApiQuery({ name: 'after', required: false, description: 'only rounds with a greater number' })
  @ApiResponse({ status: 200, standardSchema: z.array(roundViewSchema) })
  async rounds(
    @Param('run') run: string,
    @Query('after', { schema: roundNumber.default(0) }) after: number,
  ): Promise<readonly RoundView[]> {
    return this.services.runs.rounds((await this.services.runs.get(run)).id, after);
  }

  @Get(':run/rounds/:round')
  @ApiOperation({ summary: 'One round, with the names of its agents and what they said last' })
  @ApiResponse({ status: 200, standardSchema: roundDetailSchema })
  async round(@Param('run') run: string, @Param('round', { schema: roundNumber }) round: number): Promise<RoundDetail> {
    const view = await this.services.runs.round(run, round);
    const agents = await this.services.agents.some(agentsOf(view));
    return { ...view, agents: agents.map((agent) => roundAgent(view, agent)) };
  }

  @Get(':run/checkpoints')
  @ApiOperation({ summary: 'The weights that each committed round made, in order' })
  @ApiResponse({ status: 200, standardSchema: z.array(checkpointViewSchema) })
  async checkpoints(@Param('run') run: string): Promise<readonly CheckpointView[]> {
    return this.services.runs.checkpoints((await this.services.runs.get(run)).id);
  }
}
