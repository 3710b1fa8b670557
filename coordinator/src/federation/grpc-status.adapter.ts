/** Errors on their way to an agent: a GraftError as its catalogue row says, a lost database as such, anything else as INTERNAL without its words. */
import { Metadata, status, type StatusObject } from '@grpc/grpc-js';

import { GraftError } from '@graft/core/error';

import type { Log } from '../server/log.js';
import { databaseAway } from '../store/connection-loss.js';

/** Names of the trailing metadata; the fix is percent-encoded, because metadata is ASCII. */
export const errorMetadata = { code: 'graft-code', fix: 'graft-fix' } as const;

/** The gRPC status of an error. What is no GraftError is our bug: logged whole, told to the agent as INTERNAL. */
export function statusOf(error: unknown, log: Log): StatusObject {
  const away = databaseAway(error);
  if (away !== undefined) {
    log.warn({ err: error }, 'a call failed: the database is away');
    return statusOf(away, log);
  }
  if (!(error instanceof GraftError)) {
    log.error({ err: error }, 'a call failed unexpectedly');
    return statusOf(new GraftError('INTERNAL', 'unexpected error in the coordinator', { cause: error }), log);
  }
  const metadata = new Metadata();
  metadata.set(errorMetadata.code, error.code);
  metadata.set(errorMetadata.fix, encodeURI(error.row.fix));
  return { code: status[error.row.grpc], details: error.message, metadata };
}
