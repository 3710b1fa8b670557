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
  IMAGE_UNREADABLE: {
    number: 'GRAFT-4002',
    grpc: 'INVALID_ARGUMENT',
    http: 400,
    retryable: false,
    exit: 4,
    title: 'An image cannot be read',
    fix: 'Replace or remove the file that the message names; PNG, JPEG, WebP, GIF, TIFF and AVIF can be read.',
  },
} as const satisfies Record<string, ErrorRow>;
