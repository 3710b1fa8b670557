/** An error as HTTP shows it: application/problem+json, RFC 9457, with our code, details and fix as extension members. */
import { z } from 'zod';

import { errorCatalogue, GraftError, type ErrorCode } from '@graft/core/error';

export const problemSchema = z.object({
  type: z.string().meta({ description: 'a URN of the error code' }),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  instance: z.string().optional(),
  code: z.string().meta({ description: 'the code of the error catalogue, such as NOT_FOUND' }),
  number: z.string().meta({ description: 'the stable public number, such as GRAFT-1003' }),
  fix: z.string().meta({ description: 'what to do about it' }),
  retryable: z.boolean(),
  details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
});

export type Problem = z.infer<typeof problemSchema>;

export function problemOf(error: GraftError, instance?: string): Problem {
  const { row, code } = error;
  return {
    type: `urn:graft:error:${row.number}`,
    title: row.title,
    status: row.http,
    detail: error.message,
    ...(instance !== undefined && { instance }),
    code,
    number: row.number,
    fix: row.fix,
    retryable: row.retryable,
    details: error.details,
  };
}

/** The code that says the same as a bare HTTP status of the framework. */
export function codeOfStatus(status: number): ErrorCode {
  if (status === 413) return 'TOO_LARGE';
  const match = (Object.keys(errorCatalogue) as ErrorCode[]).find(
    (code) => common.has(code) && errorCatalogue[code].http === status,
  );
  return match ?? (status >= 400 && status < 500 ? 'INVALID_REQUEST' : 'INTERNAL');
}

const common: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'INVALID_REQUEST',
  'UNAUTHENTICATED',
  'FORBIDDEN',
  'NOT_FOUND',
  'RATE_LIMITED',
  'INTERNAL',
]);
