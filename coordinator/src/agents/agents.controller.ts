/** /agents: the sites that have enrolled. */
import { Body, Controller, Get, HttpCode, Inject, Param, Post, Req } from '@nestjs/common';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';

import type { AdmittedRequest } from '../access/api-key.guard.js';
import { SERVICES, type Services } from '../api/services.js';
import {
  agentViewSchema,
  letBackSchema,
  setTagsSchema,
  type AgentView,
  type LetBack,
  type SetTags,
} from './agent-view.js';

@ApiTags('agents')
@Controller('agents')
export class AgentsController {
  constructor(@Inject(SERVICES) private readonly services: Services) {}

  @Get()
  @ApiOperation({ summary: 'All agents, by name' })
  @ApiResponse({ status: 200, standardSchema: z.array(agentViewSchema) })
  async list(): Promise<readonly AgentView[]> {
    return this.services.agents.list();
  }

  @Get(':agent')
  @ApiOperation({ summary: 'One agent, by id or name' })
  @ApiResponse({ status: 200, standardSchema: agentViewSchema })
  async get(@Param('agent') agent: string): Promise<AgentView> {
    return this.services.agents.get(agent);
  }

  @Post(':agent/approve')
  @HttpCode(200)
  @ApiOperation({ summary: 'Let an agent that waits for approval take part' })
  @ApiResponse({ status: 200, standardSchema: agentViewSchema })
  async approve(@Param('agent') agent: string, @Req() request: AdmittedRequest): Promise<AgentView> {
    return this.services.agents.approve(agent, request.caller?.name ?? '');
  }

  @Post(':agent/tags')
  @HttpCode(200)
  @ApiOperation({ summary: 'Replace the tags that the operator gives an agent; tasks may ask for them' })
  @ApiResponse({ status: 200, standardSchema: agentViewSchema })
  async tag(
    @Param('agent') agent: string,
    @Body({ schema: setTagsSchema }) { tags }: SetTags,
    @Req() request: AdmittedRequest,
  ): Promise<AgentView> {
    return this.services.agents.tag(agent, tags, request.caller?.name ?? '');
  }

  @Post(':agent/release')
  @HttpCode(200)
  @ApiOperation({ summary: 'Let an agent back that is in quarantine: for one task, or for all' })
  @ApiResponse({ status: 200, standardSchema: agentViewSchema })
  async letBack(
    @Param('agent') agent: string,
    @Body({ schema: letBackSchema }) { task }: LetBack,
    @Req() request: AdmittedRequest,
  ): Promise<AgentView> {
    return this.services.agents.letBack(agent, task, request.caller?.name ?? '');
  }

  @Post(':agent/revoke')
  @HttpCode(200)
  @ApiOperation({ summary: 'Shut an agent out at once; a new token enrols the site again' })
  @ApiResponse({ status: 200, standardSchema: agentViewSchema })
  async revoke(@Param('agent') agent: string, @Req() request: AdmittedRequest): Promise<AgentView> {
    return this.services.agents.revoke(agent, request.caller?.name ?? '');
  }
}
