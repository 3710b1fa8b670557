/** The protocol between the server and its workers: numbered calls and their answers, as plain data. */
import { errorCatalogue, GraftError, type ErrorCode, type ErrorDetails } from '@graft/core/error';

export interface CallRequest {
  readonly id: number;
  readonly call: string;
  readonly input: unknown;
}

export type CallReply =
  | { readonly id: number; readonly ok: true; readonly output: unknown }
  | {
      readonly id: number;
      readonly ok: false;
      readonly code: string;
      readonly message: string;
      readonly details: ErrorDetails;
    };

/** A worker's calls by name; `unknown` stands for what the typed port on the other side gives. */
export type CallHandlers = Readonly<Record<string, (input: never) => unknown>>;

/** Answers one request. Never rejects: an error is an answer too. */
export async function answerCall(handlers: CallHandlers, request: CallRequest): Promise<CallReply> {
  const { id, call, input } = request;
  try {
    const handler = handlers[call];
    if (handler === undefined) throw new GraftError('INTERNAL', `there is no call '${call}'`);
    return { id, ok: true, output: await handler(input as never) };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof GraftError) return { id, ok: false, code: error.code, message, details: error.details };
    return { id, ok: false, code: 'COMPUTE_FAILED', message: `${call}: ${message}`, details: {} };
  }
}

/** The error that a reply stands for. */
export function errorOfReply(reply: Extract<CallReply, { ok: false }>): GraftError {
  const code = reply.code in errorCatalogue ? (reply.code as ErrorCode) : 'COMPUTE_FAILED';
  return new GraftError(code, reply.message, { details: reply.details });
}
