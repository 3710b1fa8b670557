/** Where blobs lie in an S3 bucket, and how to reach it. */
import { GraftError } from '@graft/core/error';

export interface S3Settings {
  readonly bucket: string;
  /** Before every key; empty, or ends with a slash. */
  readonly prefix: string;
  /** URL of a server other than Amazon's. */
  readonly endpoint?: string;
  readonly region: string;
  /** Absent: the usual chain of the AWS SDK (environment, shared files, the role of a pod or a machine). */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

export interface S3Options {
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
  readonly accessKeyId?: string | undefined;
  readonly secretAccessKey?: string | undefined;
}

/** Servers other than Amazon's take any region; this one is what they expect. */
const defaultRegion = 'us-east-1';

const bucketForm = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/u;
const prefixForm = /^[\w.-]+(\/[\w.-]+)*$/u;

/** The settings that `s3://bucket/prefix` and its options stand for. Throws INVALID_REQUEST, naming the option. */
export function s3Settings(location: string, options: S3Options = {}): S3Settings {
  const [, bucket = '', path = ''] = /^s3:\/\/([^/]*)(?:\/(.*))?$/su.exec(location) ?? [];
  if (!bucketForm.test(bucket)) {
    throw invalid(
      `--blobs: '${location}' is not s3://BUCKET or s3://BUCKET/PREFIX (a bucket has 3 to 63 of a-z 0-9 . -)`,
    );
  }
  const prefix = path.replace(/\/+$/u, '');
  if (prefix !== '' && !prefixForm.test(prefix)) {
    throw invalid(`--blobs: the prefix '${prefix}' may hold letters, digits and . _ - between single slashes`);
  }
  const { endpoint, region = defaultRegion, accessKeyId, secretAccessKey } = options;
  if (endpoint !== undefined && !isHttpUrl(endpoint)) {
    throw invalid(`--blobs-endpoint: '${endpoint}' is not a URL such as https://s3.example.com`);
  }
  if ((accessKeyId === undefined) !== (secretAccessKey === undefined)) {
    throw invalid('GRAFT_BLOBS_ACCESS_KEY and GRAFT_BLOBS_SECRET_KEY go together: one of them is not set');
  }
  return {
    bucket,
    prefix: prefix === '' ? '' : `${prefix}/`,
    region,
    ...(endpoint !== undefined && { endpoint }),
    ...(accessKeyId !== undefined &&
      secretAccessKey !== undefined && { credentials: { accessKeyId, secretAccessKey } }),
  };
}

function isHttpUrl(text: string): boolean {
  return URL.canParse(text) && /^https?:$/u.test(new URL(text).protocol);
}

function invalid(message: string): GraftError {
  return new GraftError('INVALID_REQUEST', message);
}
