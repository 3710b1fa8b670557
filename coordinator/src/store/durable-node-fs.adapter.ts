/**
 * PGlite's file system on a directory, made durable. The stock one has no fsync call, and PGlite starts with `-F`
 * (fsync off): it lost acknowledged rows in every simulated power cut. Here PostgreSQL's fsync reaches the disk.
 */
import { closeSync, fsyncSync, openSync } from 'node:fs';

import { PGlite, type PGliteOptions } from '@electric-sql/pglite';
import { NodeFS } from '@electric-sql/pglite/nodefs';

/** What Emscripten hands to a mounted file system, as far as fsync needs it. */
interface OpenFile {
  /** Descriptor in the host; absent for a directory, which Emscripten does not open there. */
  readonly nfd?: number;
  readonly node: unknown;
}

interface HostFileSystem {
  readonly stream_ops: { fsync?: (stream: OpenFile) => number };
  realPath(node: unknown): string;
}

type EmscriptenModule = { readonly NODEFS: HostFileSystem };

/** PGlite's start parameters with fsync on. */
export const durableStartParameters: readonly string[] = [
  ...PGlite.defaultStartParams.filter((parameter) => parameter !== '-F'),
  ...['-c', 'fsync=on', '-c', 'wal_sync_method=fsync', '-c', 'synchronous_commit=on'],
];

export class DurableNodeFS extends NodeFS {
  /** How often PostgreSQL has asked for fsync; tests read it. */
  syncCount = 0;

  override async init(pg: PGlite, options: Partial<Parameters<NodeFS['init']>[1]>): ReturnType<NodeFS['init']> {
    const result = await super.init(pg, options);
    const addSync = (module: unknown): void => {
      const { NODEFS } = module as EmscriptenModule;
      NODEFS.stream_ops.fsync = ({ nfd, node }) => {
        this.syncCount++;
        if (nfd === undefined) syncDirectory(NODEFS.realPath(node));
        else fsyncSync(nfd);
        return 0;
      };
    };
    const { emscriptenOpts } = result;
    const preRun = [emscriptenOpts.preRun ?? []].flat();
    return { ...result, emscriptenOpts: { ...emscriptenOpts, preRun: [...preRun, addSync] } };
  }
}

function syncDirectory(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** A durable PGlite on a directory. */
export async function openDurablePglite(
  directory: string,
  options: PGliteOptions = {},
): Promise<{ pglite: PGlite; fs: DurableNodeFS }> {
  const fs = new DurableNodeFS(directory);
  const pglite = await PGlite.create({ ...options, fs, startParams: [...durableStartParameters] });
  return { pglite, fs };
}
