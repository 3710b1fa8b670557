/** Who is at the other end of a call: the common name of the client certificate that TLS has verified. */
import type { ServerSurfaceCall } from '@grpc/grpc-js/build/src/server-call.js';

import { GraftError } from '@graft/core/error';

/** The agent id. Throws UNAUTHENTICATED where there is no verified certificate; TLS refuses such a connection before. */
export function agentIdOf(call: ServerSurfaceCall): string {
  const name = call.getAuthContext().sslPeerCertificate?.subject.CN;
  if (typeof name !== 'string' || name === '') {
    throw new GraftError('UNAUTHENTICATED', 'the connection shows no client certificate');
  }
  return name;
}
