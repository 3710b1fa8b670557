/** An image folder: one subfolder a class, the subfolder's name is the label; images may lie at any depth below it. */
import { open, readdir, realpath } from 'node:fs/promises';
import { extname, join, relative, sep } from 'node:path';

import { GraftError } from '@graft/core/error';

import { dataLimits, type Example, type SkipList } from './dataset.js';
import type { HashIndex } from './hash-index.adapter.js';
import { looksLikeImage, signatureBytes } from './image-signature.js';

/** Names of what the image decoder reads; the content decides when it is decoded. */
const extensions = new Set(['.png', '.jpg', '.jpeg', '.webp', '.gif', '.tif', '.tiff', '.avif', '.heif']);

/** Files read at the same time: enough to keep a disk busy, few enough to bound memory. */
const parallel = 8;

/** @throws DATA_NOT_FOUND where the folder cannot be read or has no subfolder */
export async function readImageFolder(folder: string, skipped: SkipList, index: HashIndex): Promise<Example[]> {
  const entries = (await list(folder)).filter(({ name }) => !name.startsWith('.'));
  const classes = entries.filter((entry) => entry.isDirectory());
  if (classes.length === 0) {
    throw new GraftError('DATA_NOT_FOUND', `${folder} has no subfolder; each class needs one, named by its label`);
  }
  for (const entry of entries) {
    if (entry.isSymbolicLink()) skipped.add(entry.name, 'a link, not a folder of a class');
    else if (!entry.isDirectory()) skipped.add(entry.name, 'not in the folder of a class');
  }
  const files: { label: string; path: string }[] = [];
  for (const { name: label } of classes) {
    for (const entry of await readdir(join(folder, label), { withFileTypes: true, recursive: true })) {
      if (entry.isDirectory() || entry.name.startsWith('.')) continue;
      files.push({ label, path: join(entry.parentPath, entry.name) });
    }
  }
  return hashAll(await realpath(folder), files, { skipped, index });
}

/**
 * Examples of the files that can be hashed and lie below `folder`, also once links are followed.
 * @param folder without links
 */
export async function hashAll(
  folder: string,
  files: readonly { readonly label: string; readonly path: string }[],
  { skipped, index }: { readonly skipped: SkipList; readonly index: HashIndex },
): Promise<Example[]> {
  const examples: Example[] = [];
  const hashOne = async ({ label, path }: { readonly label: string; readonly path: string }): Promise<void> => {
    const name = relative(folder, path);
    try {
      const real = await realpath(path);
      if (!real.startsWith(folder.endsWith(sep) ? folder : folder + sep)) {
        return skipped.add(name, `it lies outside ${folder}`);
      }
      if (!extensions.has(extname(path).toLowerCase()) && !looksLikeImage(await startOf(path))) {
        return skipped.add(name, 'not an image file');
      }
      const hash = await index.hash(path, dataLimits.imageBytes);
      examples.push({ name, hash, label, source: { kind: 'image', path } });
    } catch (error) {
      skipped.add(name, error instanceof Error ? error.message : String(error));
    }
  };
  const next = files.values();
  const lane = async (): Promise<void> => {
    for (const file of next) await hashOne(file);
  };
  await Promise.all(Array.from({ length: parallel }, lane));
  return examples;
}

async function startOf(path: string): Promise<Uint8Array> {
  const file = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(signatureBytes), 0, signatureBytes, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

async function list(folder: string) {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (cause) {
    throw new GraftError('DATA_NOT_FOUND', `the folder ${folder} cannot be read`, { cause });
  }
}
