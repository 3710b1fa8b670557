/** /models: the library. */
import { Body, Controller, Get, Inject, Param, Post } from '@nestjs/common';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';

import { SERVICES, type Services } from '../api/services.js';
import { modelViewSchema, registerModelSchema, type ModelView, type RegisterModel } from './model-view.js';

@ApiTags('models')
@Controller('models')
export class ModelsController {
  constructor(@Inject(SERVICES) private readonly services: Services) {}

  @Get()
  @ApiOperation({ summary: 'All models, by name' })
  @ApiResponse({ status: 200, standardSchema: z.array(modelViewSchema) })
  async list(): Promise<readonly ModelView[]> {
    return this.services.models.list();
  }

  @Get(':model')
  @ApiOperation({ summary: 'One model, by id or name' })
  @ApiResponse({ status: 200, standardSchema: modelViewSchema })
  async get(@Param('model') model: string): Promise<ModelView> {
    return this.services.models.get(model);
  }

  @Post()
  @ApiOperation({ summary: 'Register a model whose graph and weights are stored as blobs' })
  @ApiResponse({ status: 201, standardSchema: modelViewSchema })
  async register(@Body({ schema: registerModelSchema }) body: RegisterModel): Promise<ModelView> {
    return this.services.models.register(body);
  }
}
