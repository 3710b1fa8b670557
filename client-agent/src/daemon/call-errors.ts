/**
 * What a failed call means for the agent: try again, or stop. docs/protocol.md says which status means what;
 * the codes are those of gRPC (google.rpc.Code).
 */
import { GraftError } from '@graft/core/error';

const status = {
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  dataLoss: 15,
  unauthenticated: 16,
} as const;

interface CallError {
  readonly code: number;
  readonly details: string;
}

/** Whether `error` has the shape of a failed gRPC call. */
export function isCallError(error: unknown): error is CallError {
  return (
    typeof error === 'object' &&
    error !== null &&
    'code' in error &&
    typeof error.code === 'number' &&
    'details' in error &&
    typeof error.details === 'string'
  );
}

/**
 * The error of opening the instruction stream, as people should read it.
 * Only codes with `retryable: false` end the agent: it was revoked, it is too old or too new, its certificate is not accepted.
 */
export function connectionError(error: unknown, address: string): GraftError {
  if (error instanceof GraftError) return error;
  if (!isCallError(error)) return new GraftError('UNAVAILABLE', `${address} cannot be reached`, { cause: error });
  const { code, details } = error;
  const say = (what: string): string => `${address} ${what}: ${details}`;
  switch (code) {
    case status.permissionDenied:
      return new GraftError('AGENT_REVOKED', say('refuses this agent'), { cause: error });
    case status.unauthenticated:
      return new GraftError('CERTIFICATE_INVALID', say('does not accept the certificate'), { cause: error });
    case status.failedPrecondition:
      return /clock/i.test(details)
        ? new GraftError('CLOCK_SKEW', details, { cause: error })
        : new GraftError('PROTOCOL_VERSION', details, { cause: error });
    case status.unimplemented:
      return new GraftError('PROTOCOL_VERSION', say('does not know this protocol'), { cause: error });
    default:
      return new GraftError('UNAVAILABLE', `${address}: ${tlsCause(details)}`, { cause: error });
  }
}

/** Whether to come back after the connection failed with this error. */
export function isWorthRetrying(error: GraftError): boolean {
  return error.row.retryable || error.code === 'CLOCK_SKEW';
}

/** Whether a call that is not Connect may succeed when it is made again, on this connection or the next. */
export function isTransient(error: unknown): boolean {
  if (!isCallError(error)) return false;
  switch (error.code) {
    case status.invalidArgument:
    case status.notFound:
    case status.permissionDenied:
    case status.failedPrecondition:
    case status.outOfRange:
    case status.unimplemented:
    case status.dataLoss:
    case status.unauthenticated:
      return false;
    default:
      return true;
  }
}

/** Whether an upload must ask again where to go on, or start anew. */
export function isOutOfStep(error: unknown): boolean {
  return isCallError(error) && (error.code === status.failedPrecondition || error.code === status.dataLoss);
}

/** grpc-js wraps the cause of a failed connection in a sentence of its own; the cause is what helps. */
function tlsCause(details: string): string {
  const cause = /Last error: (.*?)(?:\. Resolution note:.*)?$/s.exec(details)?.[1];
  return cause === undefined || cause === 'null' ? details : cause.replace(/^Error: /, '');
}
