/** Handlers as async functions: whatever they throw becomes the call's status, and nothing escapes into grpc-js. */
import type {
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  ServerReadableStream,
  ServerUnaryCall,
  ServerWritableStream,
} from '@grpc/grpc-js';

import type { Log } from '../server/log.js';
import { statusOf } from './grpc-status.adapter.js';
import { wellFormed } from './guarded-service.adapter.js';

export function unary<Request, Response>(
  log: Log,
  answer: (request: Request, call: ServerUnaryCall<Request, Response>) => Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call, respond) => {
    attempt(async () => answer(wellFormed(call.request), call)).then(
      (response) => respond(null, response),
      (error: unknown) => respond(statusOf(error, log)),
    );
  };
}

export function clientStream<Request, Response>(
  log: Log,
  answer: (call: ServerReadableStream<Request, Response>) => Promise<Response>,
): handleClientStreamingCall<Request, Response> {
  return (call, respond) => {
    call.on('error', (error) => log.debug({ err: error }, 'an upload was cut'));
    attempt(async () => answer(call)).then(
      (response) => respond(null, response),
      (error: unknown) => {
        if (!call.cancelled) respond(statusOf(error, log));
      },
    );
  };
}

/** `serve` ends the call itself where it succeeds. */
export function serverStream<Request, Response>(
  log: Log,
  serve: (request: Request, call: ServerWritableStream<Request, Response>) => Promise<void>,
): handleServerStreamingCall<Request, Response> {
  return (call) => {
    attempt(async () => serve(wellFormed(call.request), call)).catch((error: unknown) => {
      if (!call.cancelled) endWith(call, error, log);
    });
  };
}

/** Ends a stream with an error's status. */
export function endWith(
  call: ServerWritableStream<never, never> | ServerWritableStream<unknown, unknown>,
  error: unknown,
  log: Log,
): void {
  call.emit('error', statusOf(error, log));
}

async function attempt<Value>(action: () => Promise<Value>): Promise<Value> {
  return action();
}

/** Resolves when the stream takes more, with the error of a stream that is closed; never rejects. */
export async function written<Message>(
  call: ServerWritableStream<never, Message> | ServerWritableStream<unknown, Message>,
  message: Message,
): Promise<Error | undefined> {
  if (call.cancelled || call.destroyed) return new Error('the stream is closed');
  return new Promise((resolve) => {
    const closed = (): void => resolve(new Error('the stream was closed'));
    call.once('close', closed);
    call.write(message, (error: Error | null | undefined) => {
      call.off('close', closed);
      resolve(error ?? undefined);
    });
  });
}
