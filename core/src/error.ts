/** The one error type that crosses a boundary, and the catalogue of its codes. */
import { agentErrors } from './errors/agent.js';
import { coordinatorErrors } from './errors/coordinator.js';
import { dataErrors } from './errors/data.js';
import { modelErrors } from './errors/model.js';
import { privacyErrors } from './errors/privacy.js';
import { replicaErrors } from './errors/replicas.js';
import type { ErrorRow } from './errors/row.js';
import { storeErrors } from './errors/stores.js';

export const errorCatalogue = {
  ...coordinatorErrors,
  ...agentErrors,
  ...modelErrors,
  ...dataErrors,
  ...privacyErrors,
  ...storeErrors,
  ...replicaErrors,
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof errorCatalogue;

/** Values that help to understand an error; shown to people and sent over the wire, so never secret. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean>>;

/**
 * An error that an agent, an operator or a file can cause.
 * The message is one sentence that names the value and the limit; what to do about it comes from the catalogue.
 */
export class GraftError extends Error {
  override readonly name = 'GraftError';
  readonly details: ErrorDetails;

  constructor(
    readonly code: ErrorCode,
    message: string,
    options: { readonly details?: ErrorDetails; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.details = options.details ?? {};
  }

  /** The catalogue's row for this code. */
  get row(): ErrorRow {
    return errorCatalogue[this.code];
  }
}
