/** Opens the blobs that the configuration names: a directory of this coordinator, or an S3 bucket with copies in that directory. */
import { join } from 'node:path';

import type { Config } from '../config/config.js';
import { openBlobDirectory } from './blob-directory.adapter.js';
import type { BlobStore } from './blob-store.js';
import { directoryShelf, filesInPlace, notingUse } from './directory-shelf.adapter.js';
import { localCopies } from './local-copies.adapter.js';
import { s3Blobs } from './s3-blobs.adapter.js';
import { s3Objects } from './s3-objects.adapter.js';
import { s3Settings, type S3Settings } from './s3-settings.js';
import { s3Shelf } from './s3-shelf.adapter.js';
import type { BlobShelf } from './shelf.js';
import { blobsIn, type WorkerFiles } from './worker-files.js';

export interface OpenedBlobs {
  readonly blobs: BlobStore;
  readonly files: WorkerFiles;
  readonly shelf: BlobShelf;
  /** Where they lie, for people. */
  readonly place: string;
  readonly close: () => void;
}

export type BlobsConfig = Pick<
  Config,
  'blobs' | 'blobsEndpoint' | 'blobsRegion' | 'blobsAccessKey' | 'blobsSecretKey' | 'blobsCacheMb'
>;

export const configuredBucket = (config: BlobsConfig): S3Settings | undefined =>
  config.blobs === undefined || isFolder(config.blobs)
    ? undefined
    : s3Settings(config.blobs, {
        endpoint: config.blobsEndpoint,
        region: config.blobsRegion,
        accessKeyId: config.blobsAccessKey,
        secretAccessKey: config.blobsSecretKey,
      });

/** A folder, for machines that share a file system. */
const isFolder = (location: string): boolean => location.startsWith('/');

const nowMs = (): number => Date.now();

/** Throws BLOB_STORE_REFUSED or BLOB_STORE_UNAVAILABLE where the bucket cannot be used, naming the setting. */
export async function openBlobs(directory: string, config: BlobsConfig): Promise<OpenedBlobs> {
  const settings = configuredBucket(config);
  const folder = settings === undefined && config.blobs !== undefined ? config.blobs : join(directory, 'blobs');
  if (settings === undefined) {
    const blobs = notingUse(await openBlobDirectory(folder), nowMs);
    return {
      blobs,
      files: filesInPlace(folder, nowMs),
      shelf: directoryShelf(folder),
      place: folder,
      close: () => undefined,
    };
  }
  const objects = s3Objects(settings);
  try {
    await objects.check();
    const local = await localCopies(folder, config.blobsCacheMb * 1e6);
    const blobs = s3Blobs({ objects, local, nowMs });
    const lend = async <T>(input: unknown, call: () => Promise<T>): Promise<T> => {
      const named = blobsIn(input);
      return local.holding(named, async () => {
        await Promise.all(named.map(async (hash) => blobs.fetch(hash)));
        const answer = await call();
        await Promise.all(blobsIn(answer).map(async (hash) => blobs.publish(hash)));
        return answer;
      });
    };
    const place = `s3://${settings.bucket}/${settings.prefix}${settings.endpoint === undefined ? '' : ` at ${settings.endpoint}`}`;
    return { blobs, files: { directory: folder, lend }, shelf: s3Shelf(objects), place, close: () => objects.close() };
  } catch (error) {
    objects.close();
    throw error;
  }
}
