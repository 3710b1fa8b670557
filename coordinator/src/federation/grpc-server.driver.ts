/** A grpc-js server on a port: wide flow-control windows, quick notice of dead connections, an end that does not wait for ever. */
import {
  logVerbosity,
  Server,
  ServerCredentials,
  setLogVerbosity,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';

import { GraftError } from '@graft/core/error';
import { serverChannelOptions } from '@graft/protos/channel-options';
import { widenServerWindow } from '@graft/protos/server-window.adapter';

import { guardedService } from './guarded-service.adapter.js';

export interface TlsMaterial {
  /** PEM. */
  readonly key: string;
  readonly certificate: string;
  /** PEM of the CA whose client certificates are let in; absent where clients have none yet. */
  readonly clientCa?: string;
}

export interface GrpcServerOptions {
  readonly host: string;
  readonly port: number;
  /** The flag that chooses the port, for the error. */
  readonly portFlag: string;
  readonly tls: TlsMaterial;
  readonly service: ServiceDefinition;
  readonly handlers: UntypedServiceImplementation;
  readonly keepalive?: Keepalive;
}

export interface GrpcServer {
  readonly port: number;
  /** Takes no more calls, lets those in hand end, and ends them by force after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

// Its own log goes to the console; what it says there comes back as an error too.
setLogVerbosity(logVerbosity.NONE);

/**
 * When a connection that says nothing is taken for dead. A process that dies closes its sockets, which is seen at once;
 * a host that loses its power or its network says nothing, and only a ping that is not answered tells.
 */
export interface Keepalive {
  /** Silence before a ping, milliseconds. */
  readonly intervalMs: number;
  /** Wait for its answer, milliseconds. */
  readonly timeoutMs: number;
}

/** A dead host is noticed after 15 s; a thousand agents cost a hundred pings a second. */
export const defaultKeepalive: Keepalive = { intervalMs: 10_000, timeoutMs: 5_000 };

/** Starts a server. Throws PORT_IN_USE, naming port and flag. */
export async function startGrpcServer(options: GrpcServerOptions): Promise<GrpcServer> {
  const { host, port, portFlag, tls, keepalive = defaultKeepalive } = options;
  const server = new Server({
    ...serverChannelOptions,
    'grpc.keepalive_time_ms': keepalive.intervalMs,
    'grpc.keepalive_timeout_ms': keepalive.timeoutMs,
  });
  widenServerWindow(server);
  server.addService(guardedService(options.service), options.handlers);
  const credentials = ServerCredentials.createSsl(
    tls.clientCa === undefined ? null : Buffer.from(tls.clientCa),
    [{ private_key: Buffer.from(tls.key), cert_chain: Buffer.from(tls.certificate) }],
    tls.clientCa !== undefined,
  );
  const boundPort = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${host}:${port}`, credentials, (error, bound) => {
      if (error === null) resolve(bound);
      else reject(bindError(error, { host, port, portFlag }));
    });
  });
  return {
    port: boundPort,
    close: async (graceMs) =>
      new Promise((resolve) => {
        const timer = setTimeout(() => server.forceShutdown(), graceMs);
        server.tryShutdown(() => {
          clearTimeout(timer);
          resolve();
        });
      }),
  };
}

/** Where a port cannot be had: PORT_IN_USE for a taken one, with the flag that chooses another. */
export function bindError(
  error: Error,
  where: { readonly host: string; readonly port: number; readonly portFlag: string },
): Error {
  if (!/EADDRINUSE/u.test(`${error.message} ${'code' in error ? String(error.code) : ''}`)) return error;
  return new GraftError(
    'PORT_IN_USE',
    `port ${where.port} on ${where.host} is taken; choose another with ${where.portFlag}`,
    {
      details: { port: where.port, flag: where.portFlag },
      cause: error,
    },
  );
}
