/** Error codes of the models (GRAFT-3xxx). */
import type { ErrorRow } from './row.js';

export const modelErrors = {
  MODEL_MALFORMED: {
    number: 'GRAFT-3001',
    grpc: 'INVALID_ARGUMENT',
    http: 400,
    retryable: false,
    exit: 4,
    title: 'The model file is malformed',
    fix: 'Export the model again; the message names the first place that is wrong.',
  },
} as const satisfies Record<string, ErrorRow>;
