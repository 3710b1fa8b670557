/** Error codes of the agent (GRAFT-2xxx). */
import type { ErrorRow } from './row.js';

export const agentErrors = {
  AGENT_NOT_ENROLLED: {
    number: 'GRAFT-2001',
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    retryable: false,
    exit: 4,
    title: 'This site is not enrolled',
    fix: 'Run: graft-agent enroll --server HOST:PORT --token TOKEN --fingerprint sha256:...',
  },
} as const satisfies Record<string, ErrorRow>;
