/** /api-keys: who may use the admin API; for admins alone. */
import { Body, Controller, Get, HttpCode, Inject, Param, Post, Req } from '@nestjs/common';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';

import { SERVICES, type Services } from '../api/services.js';
import { Needs, type AdmittedRequest } from './api-key.guard.js';
import {
  createdKeySchema,
  createKeySchema,
  keyViewSchema,
  type CreatedKey,
  type CreateKey,
  type KeyView,
} from './key-view.js';

@ApiTags('API keys')
@Needs('admin')
@Controller('api-keys')
export class KeysController {
  constructor(@Inject(SERVICES) private readonly services: Services) {}

  @Get()
  @ApiOperation({ summary: 'All keys, without their secrets' })
  @ApiResponse({ status: 200, standardSchema: z.array(keyViewSchema) })
  async list(): Promise<readonly KeyView[]> {
    return this.services.keys.list();
  }

  @Post()
  @ApiOperation({ summary: 'Make a key for a role: viewer, operator or admin; answers it once' })
  @ApiResponse({ status: 201, standardSchema: createdKeySchema })
  async create(
    @Body({ schema: createKeySchema }) body: CreateKey,
    @Req() request: AdmittedRequest,
  ): Promise<CreatedKey> {
    return this.services.keys.create(body, request.caller?.name ?? '');
  }

  @Post(':id/revoke')
  @HttpCode(200)
  @ApiOperation({ summary: 'Make a key useless at once; the last admin key stays' })
  @ApiResponse({ status: 200, standardSchema: keyViewSchema })
  async revoke(@Param('id') id: string, @Req() request: AdmittedRequest): Promise<KeyView> {
    return this.services.keys.revoke(id, request.caller?.name ?? '');
  }
}
