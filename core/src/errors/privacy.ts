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
  CA_MISMATCH: {
    number: 'GRAFT-5002',
    grpc: 'UNAUTHENTICATED',
    http: 401,
    retryable: false,
    exit: 2,
    title: 'The coordinator has another certificate authority than the one expected',
    fix: 'Compare the fingerprint with the one that came with the token; if the operator confirms it, something sits between the site and the coordinator.',
  },
} as const satisfies Record<string, ErrorRow>;
