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
  WEIGHTS_MALFORMED: {
    number: 'GRAFT-3002',
    grpc: 'INVALID_ARGUMENT',
    http: 400,
    retryable: false,
    exit: 4,
    title: 'The weights file is malformed',
    fix: 'Write the safetensors file again; the message names the first place that is wrong.',
  },
  MODEL_TOO_LARGE: {
    number: 'GRAFT-3003',
    grpc: 'RESOURCE_EXHAUSTED',
    http: 413,
    retryable: false,
    exit: 4,
    title: 'The model is larger than a limit',
    fix: 'Make the model smaller, or split it; the message names the limit and both numbers.',
  },
  MODEL_UNSUPPORTED: {
    number: 'GRAFT-3004',
    grpc: 'UNIMPLEMENTED',
    http: 400,
    retryable: false,
    exit: 4,
    title: 'The model uses something that is not supported',
    fix: 'Export the model with another opset or without the operator or feature that the message names.',
  },
  TENSOR_UNKNOWN: {
    number: 'GRAFT-3005',
    grpc: 'NOT_FOUND',
    http: 404,
    retryable: false,
    exit: 4,
    title: 'The model has no such tensor',
    fix: 'Name a tensor of the graph; its model card lists good places to cut.',
  },
} as const satisfies Record<string, ErrorRow>;
