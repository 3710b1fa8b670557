/**
 * PGlite's file system on a directory, made durable. The stock one has no fsync call, and PGlite starts with `-F`
 * (fsync off): it lost acknowledged rows in every simulated power cut. Here PostgreSQL's fsync reaches the disk.
 */
import { fork } from 'node:child_process';
import { closeSync, fsyncSync, openSync } from 'node:fs';
import { access, mkdtemp, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { PGlite } from '@electric-sql/pglite';
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
  '-c',
  'fsync=on',
  '-c',
  'wal_sync_method=fsync',
  '-c',
  'synchronous_commit=on',
  // For one connection; the default of 128 MB doubles what the process takes (327 MB against 168 MB were measured).
  '-c',
  'shared_buffers=16MB',
  '-c',
  'wal_buffers=1MB',
];

export class DurableNodeFS extends NodeFS {
  constructor(
    directory: string,
    /** Told after each fsync that PostgreSQL asked for, with the path in the host. */
    private readonly onSync: (path: string) => void = () => undefined,
  ) {
    super(directory);
  }

  override async init(pg: PGlite, options: Partial<Parameters<NodeFS['init']>[1]>): ReturnType<NodeFS['init']> {
    const result = await super.init(pg, options);
    const addSync = (module: unknown): void => {
      const { NODEFS } = module as EmscriptenModule;
      NODEFS.stream_ops.fsync = ({ nfd, node }) => {
        const path = NODEFS.realPath(node);
        if (nfd === undefined) syncDirectory(path);
        else fsyncSync(nfd);
        this.onSync(path);
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

export interface DurableOptions {
  readonly onSync?: (path: string) => void;
}

/** A durable PGlite on a directory. A new cluster is made beside it and moved there whole: a crash leaves all of it or none. */
export async function openDurablePglite(directory: string, { onSync }: DurableOptions = {}): Promise<PGlite> {
  if (!(await isThere(directory))) await createCluster(directory);
  return startOn(directory, onSync);
}

const startOn = (directory: string, onSync?: (path: string) => void): Promise<PGlite> =>
  PGlite.create({ fs: new DurableNodeFS(directory, onSync), startParams: [...durableStartParameters] });

/** In a folder of its own name, which only this attempt uses: what an earlier one left, perhaps still running, is nobody's. */
async function createCluster(directory: string): Promise<void> {
  const parent = dirname(directory);
  const prefix = `${basename(directory)}.new-`;
  for (const name of await readdir(parent)) {
    if (name.startsWith(prefix)) await rm(join(parent, name), { recursive: true, force: true, maxRetries: 5 });
  }
  const unfinished = await mkdtemp(join(parent, prefix));
  await makeClusterApart(unfinished);
  await rename(unfinished, directory);
  syncDirectory(parent);
}

/** Where the programs are built, in a process of its own: see there why. */
async function makeClusterApart(directory: string): Promise<void> {
  const program = fileURLToPath(new URL('./initialise-database.main.js', import.meta.url));
  if (!(await isThere(program))) return makeCluster(directory);
  const child = fork(program, [directory], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], execArgv: [] });
  let said = '';
  child.stderr?.on('data', (piece: Buffer) => (said = (said + piece.toString()).slice(-4_000)));
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`the embedded database could not be made (${signal ?? `exit ${code}`}): ${said.trim()}`));
    });
  });
}

/** Makes a database in an empty folder. PGlite's initdb syncs nothing, so that every file of it is synced here. */
export async function makeCluster(directory: string): Promise<void> {
  const pglite = await startOn(directory);
  await pglite.close();
  await syncTree(directory);
}

async function syncTree(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) await syncTree(path);
    else if (entry.isFile()) await syncFile(path);
  }
  syncDirectory(directory);
}

async function syncFile(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
