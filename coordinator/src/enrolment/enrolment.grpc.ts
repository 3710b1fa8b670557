/** graft.v1.Enrolment: decodes, calls `enrol`, encodes. */
import type { Clock } from '@graft/core/clock';
import type { EnrolmentHandlers } from '@graft/protos/service-definitions.adapter';

import { unary } from '../federation/handlers.adapter.js';
import { enrol, type EnrolPorts } from './enrol.js';

export function enrolmentHandlers(ports: EnrolPorts & { readonly clock: Clock }): EnrolmentHandlers {
  return {
    enrol: unary(ports.log, async (request, call) =>
      enrol(ports, request, { address: addressOf(call.getPeer()), atMs: ports.clock.nowMs() }),
    ),
  };
}

/** The address without the port: `10.0.0.7:50123`, `[::1]:50123`. */
function addressOf(peer: string): string {
  return peer.replace(/:\d+$/u, '');
}
