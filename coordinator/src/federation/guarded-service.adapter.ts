/**
 * A service definition whose readers cannot fail: bytes that are no message reach the handler as a `Malformed` value.
 * grpc-js answers a reader that throws with INTERNAL, which would tell an agent that the coordinator is broken.
 */
import type { ServiceDefinition } from '@grpc/grpc-js';

import { GraftError } from '@graft/core/error';

export class Malformed {
  constructor(readonly error: GraftError) {}
}

export function guardedService<Service extends ServiceDefinition>(service: Service): Service {
  const guarded = Object.entries(service).map(([name, method]) => [
    name,
    {
      ...method,
      requestDeserialize: (bytes: Buffer): unknown => {
        try {
          return method.requestDeserialize(bytes);
        } catch (cause) {
          if (cause instanceof GraftError) return new Malformed(cause);
          return new Malformed(
            new GraftError('INVALID_REQUEST', `${bytes.byteLength} bytes are not a request of ${method.path}`, {
              cause,
            }),
          );
        }
      },
    },
  ]);
  return Object.fromEntries(guarded) as Service;
}

/** The request, or the error that it is. */
export function wellFormed<Request>(request: Request): Request {
  if (request instanceof Malformed) throw request.error;
  return request;
}
