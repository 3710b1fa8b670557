/** Handlers of a gRPC service that are counted, timed and traced; a call's W3C traceparent comes in its metadata. */
import { performance } from 'node:perf_hooks';

import {
  status,
  type MethodDefinition,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';

import { traceparentField } from '@graft/protos/trace/trace-scope.adapter';

import type { Span, Telemetry } from '../telemetry.js';

type Method = MethodDefinition<unknown, unknown>;
type Handler = (call: ObservedCall, respond?: Respond) => void;
type Respond = (error: Coded | null, ...rest: unknown[]) => void;

interface Coded {
  readonly code?: number | string | undefined;
}

/** What is read of a call, whichever of the four kinds it is. */
interface ObservedCall {
  readonly cancelled: boolean;
  readonly metadata: { get(name: string): readonly unknown[] };
  on(event: 'error', listener: (error: Coded) => void): unknown;
  once(event: 'close' | 'cancelled', listener: () => void): unknown;
}

export function observedHandlers<Handlers extends UntypedServiceImplementation>(
  service: ServiceDefinition,
  handlers: Handlers,
  telemetry: Telemetry,
): Handlers {
  const wrapped = Object.entries(handlers).map(([name, handler]) => {
    const method = service[name] as Method | undefined;
    return [name, method === undefined ? handler : observed(method, handler as Handler, telemetry)];
  });
  return Object.fromEntries(wrapped) as Handlers;
}

function observed({ path, responseStream }: Method, handler: Handler, telemetry: Telemetry): Handler {
  const method = path.slice(path.lastIndexOf('/') + 1);
  // The instruction stream is open as long as an agent is: its time says nothing, and it would be a span of days.
  const isLong = method === 'Connect';
  return (call, respond) => {
    const startedAtMs = performance.now();
    const span = isLong ? undefined : spanOf(call, method, telemetry);
    telemetry.move('graft_grpc_calls_open', { method }, 1);
    let isOver = false;
    const end = (code: Coded['code']): void => {
      if (isOver) return;
      isOver = true;
      const name = nameOf(code);
      telemetry.move('graft_grpc_calls_open', { method }, -1);
      telemetry.add('graft_grpc_calls_total', { method, status: name });
      if (!isLong) telemetry.observe('graft_grpc_call_seconds', { method }, (performance.now() - startedAtMs) / 1000);
      span?.set({ 'rpc.grpc.status_code': name });
      span?.end(name === 'OK' ? undefined : new Error(name));
    };
    if (responseStream || respond === undefined) {
      let code: Coded['code'];
      call.on('error', (error) => (code = error.code ?? status.UNKNOWN));
      call.once('close', () => end(call.cancelled ? (code ?? status.CANCELLED) : code));
      handler(call);
      return;
    }
    call.once('cancelled', () => end(status.CANCELLED));
    handler(call, (error, ...rest) => {
      end(error === null ? undefined : (error.code ?? status.UNKNOWN));
      respond(error, ...rest);
    });
  };
}

function spanOf(call: ObservedCall, method: string, telemetry: Telemetry): Span {
  const [parent] = call.metadata.get(traceparentField);
  const attributes = { 'rpc.system': 'grpc', 'rpc.method': method };
  return telemetry.span(`grpc ${method}`, { attributes, ...(typeof parent === 'string' && { parent }) });
}

/** 5 -> 'NOT_FOUND'; what is no status of gRPC -> 'UNKNOWN'. */
function nameOf(code: Coded['code']): string {
  if (code === undefined) return 'OK';
  return typeof code === 'number' ? (status[code] ?? 'UNKNOWN') : 'UNKNOWN';
}
