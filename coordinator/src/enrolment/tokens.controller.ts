/** /enrolment-tokens: invitations for sites. */
import { Body, Controller, Get, HttpCode, Inject, Param, Post, Req } from '@nestjs/common';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';

import type { AdmittedRequest } from '../access/api-key.guard.js';
import { SERVICES, type Services } from '../api/services.js';
import {
  createTokenSchema,
  inviteViewSchema,
  tokenViewSchema,
  type CreateToken,
  type InviteView,
  type TokenView,
} from './token-view.js';

@ApiTags('enrolment tokens')
@Controller('enrolment-tokens')
export class TokensController {
  constructor(@Inject(SERVICES) private readonly services: Services) {}

  @Get()
  @ApiOperation({ summary: 'All tokens, newest first, without their secrets' })
  @ApiResponse({ status: 200, standardSchema: z.array(tokenViewSchema) })
  async list(): Promise<readonly TokenView[]> {
    return this.services.tokens.list();
  }

  @Post()
  @ApiOperation({ summary: 'Invite a site: answers its token once, and the line to type there' })
  @ApiResponse({ status: 201, standardSchema: inviteViewSchema })
  async create(
    @Body({ schema: createTokenSchema }) body: CreateToken,
    @Req() request: AdmittedRequest,
  ): Promise<InviteView> {
    return this.services.tokens.create(body, request.caller?.name ?? '');
  }

  @Post(':id/revoke')
  @HttpCode(200)
  @ApiOperation({ summary: 'Make a token useless' })
  @ApiResponse({ status: 200, standardSchema: tokenViewSchema })
  async revoke(@Param('id') id: string, @Req() request: AdmittedRequest): Promise<TokenView> {
    return this.services.tokens.revoke(id, request.caller?.name ?? '');
  }
}
