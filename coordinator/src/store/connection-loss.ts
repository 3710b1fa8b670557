/** Tells a lost connection to PostgreSQL from an error of a statement. Source: PostgreSQL, appendix A (error codes). */
import { GraftError } from '@graft/core/error';

/** SQLSTATE, or the system's code (ECONNRESET); empty where there is none. */
export const sqlStateOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';

/** connection_exception, and a server that shuts down, crashes or starts. */
const states = /^(08|57P0[123])/u;
const network = /^(ECONN\w+|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN)$/u;
/** What `pg` says without a code. */
const sayings =
  /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error)/u;
/** The embedded database is in this process: what stopped it stops it again. */
const embedded = 'the embedded database';

export function isConnectionLoss(error: unknown): boolean {
  const message = error instanceof Error || typeof error === 'object' ? String(Object(error).message ?? '') : '';
  if (message.startsWith(embedded)) return false;
  // A server on a local socket that was stopped has taken the socket with it: ENOENT.
  if (typeof error === 'object' && error !== null && 'syscall' in error && error.syscall === 'connect') return true;
  const code = sqlStateOf(error);
  return states.test(code) || network.test(code) || sayings.test(message);
}

/** What a caller is told where the database is away: DATABASE_UNAVAILABLE, to be tried again; undefined for every other error. */
export function databaseAway(error: unknown): GraftError | undefined {
  if (error instanceof GraftError || !isConnectionLoss(error)) return undefined;
  return new GraftError('DATABASE_UNAVAILABLE', 'the connection to the PostgreSQL server is lost', { cause: error });
}
