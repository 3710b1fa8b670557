/**
 * Installed releases: a folder each, and `current`, a file with the id of the one that answers predictions.
 * Installing is a row of steps; a crash between any two leaves the release before it in use, and whole.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, link, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { GraftError } from '@graft/core/error';
import { blobsOf } from '@graft/models/pipeline/pipeline';

import { isMissing, readIfPresent, syncFolder, writeFileAtomically } from '../config/files.adapter.js';
import { parseReleaseManifest, type ReleaseManifest } from './release-manifest.js';

export interface InstalledRelease {
  readonly manifest: ReleaseManifest;
  /** Holds the blobs of the pipeline by hash. */
  readonly folder: string;
  readonly installedAtMs: number;
}

export interface IncomingRelease {
  /** The signed bytes; their signature must have been verified. */
  readonly manifest: Uint8Array;
  readonly signature: Uint8Array;
  /** Where a downloaded blob lies. */
  readonly blobPath: (hash: string) => string;
}

export interface InstallStep {
  readonly name: string;
  run(): Promise<void>;
}

/** The steps, in order. Repeating any of them changes nothing. */
export function installSteps(directory: string, incoming: IncomingRelease): readonly InstallStep[] {
  const manifest = parseReleaseManifest(incoming.manifest);
  const target = join(directory, manifest.id);
  const staging = join(directory, `.${manifest.id}.incoming`);
  const unlessInstalled = (run: () => Promise<void>) => async (): Promise<void> => {
    if ((await readIfPresent(join(target, 'release.json'))) === undefined) await run();
  };
  return [
    {
      name: 'clear what a crash left',
      run: async () => {
        await mkdir(directory, { recursive: true });
        await rm(staging, { recursive: true, force: true });
      },
    },
    {
      name: 'gather and verify the blobs',
      run: unlessInstalled(async () => {
        await mkdir(staging, { recursive: true });
        for (const { hash } of blobsOf(manifest.pipeline))
          await place(incoming.blobPath(hash), join(staging, hash), hash);
      }),
    },
    {
      name: 'write the manifest',
      run: unlessInstalled(async () => {
        await writeFileAtomically(join(staging, 'release.sig'), incoming.signature);
        await writeFileAtomically(join(staging, 'release.json'), incoming.manifest);
      }),
    },
    {
      name: 'give it its name',
      run: unlessInstalled(async () => {
        await rm(target, { recursive: true, force: true });
        await rename(staging, target);
        await syncFolder(directory);
      }),
    },
    { name: 'make it current', run: () => writeFileAtomically(join(directory, 'current'), `${manifest.id}\n`) },
  ];
}

/** Installs a verified release and makes it current. Throws RELEASE_INVALID where a blob is not what its hash says. */
export async function installRelease(directory: string, incoming: IncomingRelease): Promise<void> {
  for (const step of installSteps(directory, incoming)) await step.run();
}

/** The release in use, or undefined where none is installed. Throws RELEASE_INVALID where its files are gone. */
export async function currentRelease(directory: string): Promise<InstalledRelease | undefined> {
  const id = (await readIfPresent(join(directory, 'current')))?.trim();
  if (id === undefined || id === '') return undefined;
  const release = await installedRelease(directory, id);
  if (release === undefined)
    throw new GraftError('RELEASE_INVALID', `the installed release ${id} has lost its manifest`);
  return release;
}

/** An installed release by its id, or undefined where there is none. */
export async function installedRelease(directory: string, id: string): Promise<InstalledRelease | undefined> {
  const folder = join(directory, basename(id));
  const text = await readIfPresent(join(folder, 'release.json'));
  if (text === undefined) return undefined;
  const manifest = parseReleaseManifest(new TextEncoder().encode(text));
  return { manifest, folder, installedAtMs: (await stat(folder)).mtimeMs };
}

/** Throws RELEASE_INVALID where a file of an installed release is missing or changed. */
export async function verifyInstalled({ manifest, folder }: InstalledRelease): Promise<void> {
  for (const { hash } of blobsOf(manifest.pipeline)) await verifyBlob(join(folder, hash), hash);
}

/** Deletes all but the current release and the `keep` newest others, and what crashes left. */
export async function pruneReleases(directory: string, keep: number): Promise<void> {
  const current = (await readIfPresent(join(directory, 'current')))?.trim();
  const others: { path: string; atMs: number }[] = [];
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (!entry.isDirectory() || entry.name === current) continue;
    const path = join(directory, entry.name);
    others.push({ path, atMs: entry.name.startsWith('.') ? 0 : (await stat(path)).mtimeMs });
  }
  others.sort((a, b) => b.atMs - a.atMs);
  for (const [index, { path, atMs }] of others.entries()) {
    if (index >= keep || atMs === 0) await rm(path, { recursive: true, force: true });
  }
}

/** A hard link where the file system has them, else a copy; then checked byte for byte against the hash. */
async function place(source: string, target: string, hash: string): Promise<void> {
  try {
    await link(source, target);
  } catch (error) {
    if (isMissing(error)) throw new GraftError('RELEASE_INVALID', `blob ${hash} of the release is not here`);
    await copyFile(source, target);
  }
  await verifyBlob(target, hash);
}

async function verifyBlob(file: string, hash: string): Promise<void> {
  const digest = createHash('sha256');
  try {
    for await (const piece of createReadStream(file)) digest.update(piece as Uint8Array);
  } catch (cause) {
    throw new GraftError('RELEASE_INVALID', `${file} cannot be read`, { cause });
  }
  const found = digest.digest('hex');
  if (found !== hash) throw new GraftError('RELEASE_INVALID', `blob ${hash} of the release has sha256 ${found}`);
}
