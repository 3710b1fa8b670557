/** An image folder: one subfolder a class, the subfolder's name is the label; images may lie at any depth below it. */
import { readdir } from 'node:fs/promises';
import { extname, join, relative } from 'node:path';

import { GraftError } from '@graft/core/error';

import { dataLimits, type Example, type SkipList } from './dataset.js';
import type { HashIndex } from './hash-index.adapter.js';

/** What the image decoder reads. */
const extensions = new Set(['.png', '.jpg', '.jpeg', '.webp', '.gif', '.tif', '.tiff', '.avif']);

/** Files read at the same time: enough to keep a disk busy, few enough to bound memory. */
const parallel = 8;

/** @throws DATA_NOT_FOUND where the folder cannot be read or has no subfolder */
export async function readImageFolder(folder: string, skipped: SkipList, index: HashIndex): Promise<Example[]> {
  const classes = (await list(folder)).filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'));
  if (classes.length === 0) {
    throw new GraftError('DATA_NOT_FOUND', `${folder} has no subfolder; each class needs one, named by its label`);
  }
  const files: { label: string; path: string }[] = [];
  for (const { name: label } of classes) {
    for (const entry of await readdir(join(folder, label), { withFileTypes: true, recursive: true })) {
      if (entry.isDirectory() || entry.name.startsWith('.')) continue;
      files.push({ label, path: join(entry.parentPath, entry.name) });
    }
  }
  return hashAll(folder, files, { skipped, index });
}

/** Examples of the files that can be hashed. */
export async function hashAll(
  folder: string,
  files: readonly { readonly label: string; readonly path: string }[],
  { skipped, index }: { readonly skipped: SkipList; readonly index: HashIndex },
): Promise<Example[]> {
  const examples: Example[] = [];
  const hashOne = async ({ label, path }: { readonly label: string; readonly path: string }): Promise<void> => {
    const name = relative(folder, path);
    if (!extensions.has(extname(path).toLowerCase())) return skipped.add(name, 'not an image file');
    try {
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

async function list(folder: string) {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (cause) {
    throw new GraftError('DATA_NOT_FOUND', `the folder ${folder} cannot be read`, { cause });
  }
}
