/** What an S3 server or the way to it says, as errors that name the setting to correct. Codes: the S3 API's list of error responses. */
import { GraftError, type ErrorCode } from '@graft/core/error';

import type { S3Settings } from './s3-settings.js';

interface Failure {
  readonly name?: string;
  readonly code?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

type Row = readonly [code: ErrorCode, what: (settings: S3Settings) => string];

const place = ({ endpoint, region }: S3Settings): string => endpoint ?? `Amazon S3 in ${region}`;

/** By the error's name. */
const rows: Readonly<Record<string, Row>> = {
  NoSuchBucket: ['BLOB_STORE_REFUSED', (s) => `--blobs: there is no bucket '${s.bucket}' at ${place(s)}`],
  InvalidAccessKeyId: [
    'BLOB_STORE_REFUSED',
    (s) => `GRAFT_BLOBS_ACCESS_KEY (or AWS_ACCESS_KEY_ID): ${place(s)} does not know this access key`,
  ],
  /** What versitygw calls it. */
  XAdminUserNotFound: [
    'BLOB_STORE_REFUSED',
    (s) => `GRAFT_BLOBS_ACCESS_KEY (or AWS_ACCESS_KEY_ID): ${place(s)} does not know this access key`,
  ],
  SignatureDoesNotMatch: [
    'BLOB_STORE_REFUSED',
    (s) => `GRAFT_BLOBS_SECRET_KEY (or AWS_SECRET_ACCESS_KEY) is not the secret of this access key at ${place(s)}`,
  ],
  ExpiredToken: ['BLOB_STORE_REFUSED', () => 'AWS_SESSION_TOKEN has expired'],
  CredentialsProviderError: [
    'BLOB_STORE_REFUSED',
    () =>
      'there are no credentials for --blobs: set GRAFT_BLOBS_ACCESS_KEY and GRAFT_BLOBS_SECRET_KEY, or give this machine a role',
  ],
  RequestTimeTooSkewed: [
    'BLOB_STORE_REFUSED',
    (s) => `the clock of this machine and that of ${place(s)} differ by more than S3 allows: set it (NTP)`,
  ],
  AuthorizationHeaderMalformed: [
    'BLOB_STORE_REFUSED',
    (s) => `--blobs-region: ${place(s)} does not take region '${s.region}'`,
  ],
  PermanentRedirect: [
    'BLOB_STORE_REFUSED',
    (s) => `--blobs-region: bucket '${s.bucket}' does not lie in region '${s.region}'`,
  ],
  AccessDenied: [
    'BLOB_STORE_REFUSED',
    (s) =>
      `${place(s)} denies access to bucket '${s.bucket}': the key needs to get, put, list and delete objects under '${s.prefix}'`,
  ],
  InsufficientStorage: ['DISK_FULL', (s) => `no space is left for blobs in bucket '${s.bucket}' at ${place(s)}`],
  QuotaExceeded: ['DISK_FULL', (s) => `the quota of bucket '${s.bucket}' at ${place(s)} is used up`],
  XMinioStorageFull: ['DISK_FULL', (s) => `no space is left for blobs in bucket '${s.bucket}' at ${place(s)}`],
};

/** HEAD requests have no body, and so no name: their status stands for it. */
const byStatus: Readonly<Record<number, string>> = {
  301: 'PermanentRedirect',
  403: 'AccessDenied',
  507: 'InsufficientStorage',
};

/** Of the network, in the message too: the SDK wraps what the system said. */
const unreachable = /\b(ENOTFOUND|EAI_AGAIN|ECONN\w+|EPIPE|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|socket hang up)\b/u;
const busy = new Set(['TimeoutError', 'AbortError', 'RequestTimeout', 'SlowDown', 'ServiceUnavailable']);

export const statusOf = (error: unknown): number | undefined => (Object(error) as Failure).$metadata?.httpStatusCode;

/** True where the object is not there. */
export const isMissing = (error: unknown): boolean => {
  const { name } = Object(error) as Failure;
  return name === 'NoSuchKey' || name === 'NotFound';
};

/** True where a condition (If-None-Match) did not hold: the object is there already. */
export const isThereAlready = (error: unknown): boolean => statusOf(error) === 412 || statusOf(error) === 409;

/** Other errors pass as they are. */
export function s3Error(error: unknown, settings: S3Settings): unknown {
  if (error instanceof GraftError) return error;
  const { name = '', code = '', message = '' } = Object(error) as Failure;
  const status = statusOf(error) ?? 0;
  const row =
    rows[name] ?? (/no space left/iu.test(message) ? rows['InsufficientStorage'] : rows[byStatus[status] ?? '']);
  if (row !== undefined) return new GraftError(row[0], row[1](settings), { cause: error });
  const said =
    unreachable.exec(`${code} ${message}`)?.[0] ?? (busy.has(name) || status >= 500 ? `${name} ${message}` : undefined);
  if (said === undefined) return error;
  return new GraftError(
    'BLOB_STORE_UNAVAILABLE',
    `--blobs-endpoint: ${place(settings)} does not answer as it should (${said})`,
    {
      cause: error,
    },
  );
}
