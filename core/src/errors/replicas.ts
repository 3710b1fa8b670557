/** Error codes of coordinators that share a database (GRAFT-1070 to 1079). */
import type { ErrorRow } from './row.js';

export const replicaErrors = {
  KEYS_DIFFER: {
    number: 'GRAFT-1070',
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    retryable: false,
    exit: 4,
    title: 'This coordinator has other secrets than the others on its database',
    fix: 'Give every coordinator the same ca.json, identity.seed and master.key: copy them from the first, or mount them and name the folder with --keys.',
  },
  BLOBS_NOT_SHARED: {
    number: 'GRAFT-1071',
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    retryable: false,
    exit: 4,
    title: 'This coordinator does not see the blobs of the others on its database',
    fix: 'Give every coordinator the same bucket, or the same shared folder with --blobs.',
  },
} as const satisfies Record<string, ErrorRow>;
