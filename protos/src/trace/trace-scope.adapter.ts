/** The trace that calls belong to, carried along the asynchronous work that makes them: clients send it as their call's metadata. */
import { AsyncLocalStorage } from 'node:async_hooks';

/** The name of the metadata, of W3C Trace Context. */
export const traceparentField = 'traceparent';

const scope = new AsyncLocalStorage<string>();

/** Every call that `action` makes, however late, names this traceparent. */
export function inTrace<T>(traceparent: string, action: () => T): T {
  return scope.run(traceparent, action);
}

/** Undefined outside of any trace. */
export function currentTraceparent(): string | undefined {
  return scope.getStore();
}
