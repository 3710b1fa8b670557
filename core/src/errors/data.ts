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
  DATA_CONFIG_INVALID: {
    number: 'GRAFT-4003',
    grpc: 'INVALID_ARGUMENT',
    http: 400,
    retryable: false,
    exit: 4,
    title: 'data.yaml is not valid',
    fix: 'Correct the field that the message names; docs/quickstart.md shows both forms.',
  },
  LABEL_UNKNOWN: {
    number: 'GRAFT-4004',
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    retryable: false,
    exit: 4,
    title: 'A label of the site is not one of the task',
    fix: 'Rename it, or map it in data.yaml: labels: { SITE_LABEL: TASK_LABEL }.',
  },
  DATA_EMPTY: {
    number: 'GRAFT-4005',
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    retryable: false,
    exit: 4,
    title: 'There is no usable example',
    fix: 'Put images into the class folders, or rows into the CSV; graft-agent check names what was skipped and why.',
  },
  DATA_UNSUITABLE: {
    number: 'GRAFT-4006',
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    retryable: false,
    exit: 4,
    title: 'The data are of another kind than the model takes',
    fix: 'Point data.yaml at data of the kind that the message names.',
  },
} as const satisfies Record<string, ErrorRow>;
