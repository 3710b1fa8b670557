/**
 * The few calls of the S3 API that blobs need, below one prefix of one bucket. Each is tried again with growing, jittered pauses
 * (the SDK's standard retry mode), every byte is covered by a checksum, and memory holds a few parts, however large the object.
 */
import { createReadStream } from 'node:fs';

import {
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';

import { isMissing, isThereAlready, s3Error } from './s3-errors.js';
import type { S3Settings } from './s3-settings.js';

export interface StoredObject {
  /** Below the prefix. */
  readonly key: string;
  readonly sizeBytes: number;
  readonly changedAtMs: number;
}

export interface S3Objects {
  /** Throws where the bucket cannot be used, naming the setting. */
  check(): Promise<void>;
  head(key: string): Promise<StoredObject | undefined>;
  /** Bytes [start, end] of an object, both included; undefined where there is no such object. */
  range(key: string, start: number, end: number): Promise<Uint8Array | undefined>;
  /** False where the object is there already and `replace` is not set. */
  put(key: string, bytes: Uint8Array, options?: PutOptions): Promise<boolean>;
  /** Stores a file, in parts where it is large. False where the object is there already, or is being written by another. */
  putFile(
    key: string,
    file: string,
    options: { readonly sizeBytes: number; readonly sha256: string },
  ): Promise<boolean>;
  list(prefix: string): AsyncIterable<StoredObject>;
  delete(keys: readonly string[]): Promise<void>;
  close(): void;
}

interface PutOptions {
  /** Hex: the server checks it. */
  readonly sha256?: string;
  readonly replace?: boolean;
}

/** Of a multipart upload; what is smaller goes in one request. */
const partBytes = 8 << 20;
const partsAtOnce = 4;
const attempts = 5;
const connectionTimeoutMs = 5_000;
/** Without a byte; a part of 8 MiB takes a second on a slow line. */
const requestTimeoutMs = 60_000;
/** The most that one delete request takes. */
const deletedAtOnce = 1_000;

// The SDK would print a line about later versions of Node.js into the operator's log.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';

const base64 = (hex: string): string => Buffer.from(hex, 'hex').toString('base64');

export function s3Objects(settings: S3Settings): S3Objects {
  const { bucket: Bucket, prefix } = settings;
  const client = new S3Client({
    region: settings.region,
    maxAttempts: attempts,
    retryMode: 'standard',
    requestHandler: { connectionTimeout: connectionTimeoutMs, requestTimeout: requestTimeoutMs },
    ...(settings.endpoint !== undefined && { endpoint: settings.endpoint, forcePathStyle: true }),
    ...(settings.credentials && { credentials: settings.credentials }),
  });
  const at = (key: string): { Bucket: string; Key: string } => ({ Bucket, Key: `${prefix}${key}` });

  async function asked<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw s3Error(error, settings);
    }
  }

  async function head(key: string): Promise<StoredObject | undefined> {
    try {
      const found = await client.send(new HeadObjectCommand(at(key)));
      return { key, sizeBytes: found.ContentLength ?? 0, changedAtMs: found.LastModified?.getTime() ?? 0 };
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw s3Error(error, settings);
    }
  }

  async function range(key: string, start: number, end: number): Promise<Uint8Array | undefined> {
    try {
      const { Body } = await client.send(new GetObjectCommand({ ...at(key), Range: `bytes=${start}-${end}` }));
      return await Body?.transformToByteArray();
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw s3Error(error, settings);
    }
  }

  async function put(key: string, bytes: Uint8Array, { sha256, replace = false }: PutOptions = {}): Promise<boolean> {
    try {
      await client.send(
        new PutObjectCommand({
          ...at(key),
          Body: bytes,
          ContentLength: bytes.byteLength,
          ...(sha256 !== undefined && { ChecksumSHA256: base64(sha256) }),
          ...(!replace && { IfNoneMatch: '*' }),
        }),
      );
      return true;
    } catch (error) {
      if (!replace && isThereAlready(error)) return false;
      throw s3Error(error, settings);
    }
  }

  async function putLarge(key: string, file: string): Promise<boolean> {
    const body = createReadStream(file, { highWaterMark: 1 << 20 });
    try {
      await new Upload({
        client,
        params: { ...at(key), Body: body, IfNoneMatch: '*' },
        partSize: partBytes,
        queueSize: partsAtOnce,
      }).done();
      return true;
    } catch (error) {
      if (!isThereAlready(error)) throw s3Error(error, settings);
      return false;
    } finally {
      body.destroy();
    }
  }

  async function* list(below: string): AsyncGenerator<StoredObject> {
    for (let token: string | undefined; ;) {
      const page = await asked(async () =>
        client.send(
          new ListObjectsV2Command({ Bucket, Prefix: `${prefix}${below}`, ...(token && { ContinuationToken: token }) }),
        ),
      );
      for (const { Key = '', Size = 0, LastModified } of page.Contents ?? []) {
        yield { key: Key.slice(prefix.length), sizeBytes: Size, changedAtMs: LastModified?.getTime() ?? 0 };
      }
      token = page.NextContinuationToken;
      if (page.IsTruncated !== true || token === undefined) return;
    }
  }

  return {
    check: async () => {
      try {
        await client.send(new HeadBucketCommand({ Bucket }));
      } catch (error) {
        // A HEAD answer has no body that says why; a list has.
        await asked(async () => client.send(new ListObjectsV2Command({ Bucket, Prefix: prefix, MaxKeys: 1 })));
        throw s3Error(error, settings);
      }
    },
    head,
    range,
    put,
    putFile: async (key, file, { sizeBytes, sha256 }) => {
      if (sizeBytes > partBytes) return putLarge(key, file);
      const pieces: Buffer[] = [];
      for await (const piece of createReadStream(file)) pieces.push(piece as Buffer);
      return put(key, Buffer.concat(pieces), { sha256 });
    },
    list,
    delete: async (keys) => {
      for (let from = 0; from < keys.length; from += deletedAtOnce) {
        const Objects = keys.slice(from, from + deletedAtOnce).map((key) => ({ Key: `${prefix}${key}` }));
        await asked(async () => client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects, Quiet: true } })));
      }
    },
    close: () => client.destroy(),
  };
}
