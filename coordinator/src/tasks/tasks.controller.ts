/** /tasks: what federations are asked to do. */
import { Body, Controller, Get, Inject, Param, Post } from '@nestjs/common';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';

import { taskSpecSchema, type TaskSpec } from '@graft/models/pipeline/task-spec';

import { SERVICES, type Services } from '../api/services.js';
import { taskViewSchema, type TaskView } from './task-view.js';

@ApiTags('tasks')
@Controller('tasks')
export class TasksController {
  constructor(@Inject(SERVICES) private readonly services: Services) {}

  @Get()
  @ApiOperation({ summary: 'All tasks, newest first' })
  @ApiResponse({ status: 200, standardSchema: z.array(taskViewSchema) })
  async list(): Promise<readonly TaskView[]> {
    return this.services.tasks.list();
  }

  @Get(':task')
  @ApiOperation({ summary: 'One task, by id or name' })
  @ApiResponse({ status: 200, standardSchema: taskViewSchema })
  async get(@Param('task') task: string): Promise<TaskView> {
    return this.services.tasks.get(task);
  }

  @Post()
  @ApiOperation({ summary: 'Create a task; the model is cut and its new head is made here' })
  @ApiResponse({ status: 201, standardSchema: taskViewSchema })
  async create(@Body({ schema: taskSpecSchema }) body: TaskSpec): Promise<TaskView> {
    return this.services.tasks.create(body);
  }
}
