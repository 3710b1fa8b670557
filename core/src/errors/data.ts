/** Error codes of the data (GRAFT-4xxx). */
import type { ErrorRow } from './row.js';

export const dataErrors = {
  DATA_NOT_FOUND: {
    number: 'GRAFT-4001',
    grpc: 'NOT_FOUND',
    http: 404,
    retryable: false,
    exit: 4,
    title: 'The data are not where the configuration says',
    fix: 'Correct the path in data.yaml.',
  },
} as const satisfies Record<string, ErrorRow>;
