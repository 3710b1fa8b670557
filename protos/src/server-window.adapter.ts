/**
 * The server's side of the flow-control window. grpc-js 1.14 reads 'grpc-node.flow_control_window' on the client only
 * (its transport.ts); its server announces HTTP/2's default of 64 KiB, which makes every upload wait for a round trip
 * each 64 KiB. Until it has the option, this is the one place that reaches into it; a spec fails when that stops to work.
 */
import type { Server } from '@grpc/grpc-js';
import { limits } from '@graft/core/limits';
import type { Http2Server, Http2SecureServer, ServerHttp2Session, Settings } from 'node:http2';

interface ServerInternals {
  commonServerOptions?: { settings?: Settings };
  createHttp2Server?: (...parameters: unknown[]) => Http2Server | Http2SecureServer;
}

/** Announces `limits.flowControlWindowBytes` a stream and a connection. Call it before the server is bound. */
export function widenServerWindow(server: Server): void {
  const internals = server as unknown as ServerInternals;
  const { commonServerOptions, createHttp2Server } = internals;
  if (commonServerOptions === undefined || createHttp2Server === undefined) {
    throw new Error('this version of @grpc/grpc-js keeps its HTTP/2 options elsewhere: see server-window.adapter.ts');
  }
  commonServerOptions.settings = {
    ...commonServerOptions.settings,
    initialWindowSize: limits.flowControlWindowBytes,
  };
  internals.createHttp2Server = (...parameters) => {
    const http2 = createHttp2Server.apply(server, parameters);
    http2.on('session', (session: ServerHttp2Session) => session.setLocalWindowSize(limits.flowControlWindowBytes));
    return http2;
  };
}
