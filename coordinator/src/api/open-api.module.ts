/** The document of the admin API, OpenAPI 3.1, made from the zod schemas that check the requests. */
import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';
import { z } from 'zod';

import { problemSchema } from './problem.js';

export function openApiDocument(app: INestApplication, version: string): OpenAPIObject {
  const base = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('graft admin API')
    .setDescription(
      'Errors are application/problem+json (RFC 9457) with code, number and fix. POST requests take an Idempotency-Key.',
    )
    .setVersion(version)
    .setLicense('Apache-2.0', 'https://www.apache.org/licenses/LICENSE-2.0')
    .addBearerAuth({ type: 'http', scheme: 'bearer', description: 'an API key' })
    .addSecurityRequirements('bearer')
    .addGlobalResponse({
      status: 'default',
      description: 'an error',
      content: { 'application/problem+json': { schema: jsonSchema(problemSchema, 'output') as object } },
    })
    .build();
  return SwaggerModule.createDocument(app, base, {
    standardSchemaConverter: (schema, { schemaType }) =>
      schema instanceof z.ZodType ? { schema: jsonSchema(schema, schemaType) } : undefined,
  });
}

/** OpenAPI 3.1 takes JSON Schema 2020-12 as it is; shared schemas are written out where they are used. */
function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): unknown {
  const {
    $schema: _dialect,
    id: _id,
    ...rest
  } = z.toJSONSchema(schema, { io, target: 'draft-2020-12', unrepresentable: 'any', reused: 'inline' });
  return rest;
}
