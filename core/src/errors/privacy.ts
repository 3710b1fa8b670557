/** Error codes of the trust and privacy (GRAFT-5xxx). */
import type { ErrorRow } from './row.js';

export const privacyErrors = {
  ENVELOPE_INVALID: {
    number: 'GRAFT-5001',
    grpc: 'INVALID_ARGUMENT',
    http: 400,
    retryable: false,
    exit: 1,
    title: 'A sealed envelope does not verify',
    fix: 'Send the update again; if it goes on, the two sides disagree about keys: graft-agent check.',
  },
} as const satisfies Record<string, ErrorRow>;
