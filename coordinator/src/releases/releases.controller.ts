/** /releases: what passed the gate, and how to take it elsewhere. */
import { Controller, Get, Inject, Param, Res } from '@nestjs/common';
import { ApiOperation, ApiProduces, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { z } from 'zod';

import { SERVICES, type Services } from '../api/services.js';
import { releaseViewSchema, type ReleaseView } from './release-view.js';

@ApiTags('releases')
@Controller('releases')
export class ReleasesController {
  constructor(@Inject(SERVICES) private readonly services: Services) {}

  @Get()
  @ApiOperation({ summary: 'All releases, newest first' })
  @ApiResponse({ status: 200, standardSchema: z.array(releaseViewSchema) })
  async list(): Promise<readonly ReleaseView[]> {
    return this.services.releases.list();
  }

  @Get(':release')
  @ApiOperation({ summary: 'One release' })
  @ApiResponse({ status: 200, standardSchema: releaseViewSchema })
  async get(@Param('release') release: string): Promise<ReleaseView> {
    return this.services.releases.get(release);
  }

  @Get(':release/manifest')
  @ApiOperation({
    summary: 'The signed manifest; the header graft-signature is the Ed25519 signature of its bytes, base64',
  })
  @ApiProduces('application/json')
  @ApiResponse({ status: 200, schema: { type: 'object' } })
  async manifest(@Param('release') release: string, @Res() response: Response): Promise<void> {
    const { manifest, signature } = await this.services.releases.manifest(release);
    response.setHeader('graft-signature', Buffer.from(signature).toString('base64'));
    response.type('application/json').send(Buffer.from(manifest));
  }

  @Get(':release/model.onnx')
  @ApiOperation({ summary: 'The release as one ONNX file, from preprocessed examples to logits' })
  @ApiProduces('application/octet-stream')
  @ApiResponse({ status: 200, schema: { type: 'string', format: 'binary' } })
  async onnx(@Param('release') release: string, @Res() response: Response): Promise<void> {
    const bytes = await this.services.releases.onnx(release);
    response
      .attachment(`${release}.onnx`)
      .type('application/octet-stream')
      .send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  }
}
