/** /blobs: files of models and data, by their sha256. */
import { Controller, Get, HttpCode, Inject, Param, Put, Req, Res } from '@nestjs/common';
import { ApiBody, ApiConsumes, ApiOperation, ApiParam, ApiProduces, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';

import { GraftError } from '@graft/core/error';
import { blobRefSchema, type BlobRef } from '@graft/models/pipeline/pipeline';

import { Needs } from '../access/api-key.guard.js';
import { SERVICES, type Services } from '../api/services.js';

const hashSchema = blobRefSchema.shape.hash;

@ApiTags('blobs')
@Controller('blobs')
export class BlobsController {
  constructor(@Inject(SERVICES) private readonly services: Services) {}

  @Put(':hash')
  @HttpCode(200)
  @ApiOperation({ summary: 'Store a file; storing it again changes nothing, a cut upload goes on from its last MiB' })
  @ApiParam({ name: 'hash', description: 'sha256, lower-case hex' })
  @ApiConsumes('application/octet-stream')
  @ApiBody({ schema: { type: 'string', format: 'binary' } })
  @ApiResponse({ status: 200, standardSchema: blobRefSchema, description: 'stored and verified' })
  async put(@Param('hash', { schema: hashSchema }) hash: string, @Req() request: Request): Promise<BlobRef> {
    const length = request.headers['content-length'];
    if (length === undefined || !/^\d{1,15}$/u.test(length)) {
      throw new GraftError('INVALID_REQUEST', 'an upload needs a content-length');
    }
    return this.services.blobs.receive(hash, Number(length), request);
  }

  @Get(':hash')
  @Needs('operator')
  @ApiOperation({ summary: 'Download a file' })
  @ApiProduces('application/octet-stream')
  @ApiResponse({ status: 200, schema: { type: 'string', format: 'binary' } })
  async get(@Param('hash', { schema: hashSchema }) hash: string, @Res() response: Response): Promise<void> {
    const blob = await this.services.blobs.find(hash);
    response.type('application/octet-stream').setHeader('content-length', blob.sizeBytes);
    await sendBytes(response, this.services.blobs.chunks(blob));
  }
}

/** Sends chunks with back-pressure; a client that goes away ends it quietly. */
export async function sendBytes(response: Response, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    await pipeline(Readable.from(chunks, { objectMode: false }), response);
  } catch (error) {
    if (response.destroyed || response.closed) return;
    throw error;
  }
}
