/**
 * Features of examples on the disk, so that the frozen trunk sees each example once: a folder for what made them
 * (trunk and preprocessing), a file an example, named by its hash. A cache: what is missing or damaged is computed again.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { elementCount, tensor, type Tensor } from '@graft/core/tensor';
import type { Pipeline } from '@graft/models/pipeline/pipeline';

import { isMissing } from '../config/files.adapter.js';
import { partKey } from './resident-sessions.adapter.js';

/** Trunks whose features are kept: that of the task, its int8 form, and those of the task before. */
const keptTrunks = 4;

export interface FeatureStore {
  read(exampleHash: string): Promise<Tensor<'float32'> | undefined>;
  write(exampleHash: string, features: Tensor<'float32'>): Promise<void>;
}

/** What features depend on besides the example. */
export function featureKey({ trunk, preprocessing }: Pick<Pipeline, 'trunk' | 'preprocessing'>): string {
  const made = JSON.stringify([trunk === undefined ? 'no trunk' : partKey(trunk), preprocessing]);
  return createHash('sha256').update(made).digest('hex');
}

/** The features made by `key`, see `featureKey`; those of trunks that were unused longest are deleted. */
export async function openFeatureStore(directory: string, key: string): Promise<FeatureStore> {
  const folder = join(directory, key);
  await mkdir(folder, { recursive: true });
  await prune(directory, key);
  const fileOf = (hash: string): string => join(folder, hash.slice(0, 2), hash);
  return {
    read: async (hash) => {
      try {
        return decode(await readFile(fileOf(hash)));
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    },
    write: async (hash, features) => {
      const file = fileOf(hash);
      await mkdir(join(folder, hash.slice(0, 2)), { recursive: true });
      await writeFile(`${file}.tmp`, encode(features));
      await rename(`${file}.tmp`, file);
    },
  };
}

/** The rank and the sizes as u32, then the values as float32; all little-endian. */
function encode({ shape, data }: Tensor<'float32'>): Uint8Array {
  const head = Uint32Array.of(shape.length, ...shape);
  const bytes = new Uint8Array(head.byteLength + data.byteLength);
  bytes.set(new Uint8Array(head.buffer));
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), head.byteLength);
  return bytes;
}

/** Undefined where the file is not whole. */
function decode(bytes: Buffer): Tensor<'float32'> | undefined {
  const aligned = Uint8Array.from(bytes).buffer;
  if (aligned.byteLength < 4 || aligned.byteLength % 4 !== 0) return undefined;
  const words = new Uint32Array(aligned);
  const rank = words[0] ?? 0;
  if (rank > 8 || words.length < rank + 1) return undefined;
  const shape = [...words.subarray(1, rank + 1)];
  const data = new Float32Array(aligned, 4 * (rank + 1));
  return data.length === elementCount(shape) ? tensor('float32', shape, data) : undefined;
}

async function prune(directory: string, key: string): Promise<void> {
  const now = new Date();
  await utimes(join(directory, key), now, now);
  const folders: { path: string; usedMs: number }[] = [];
  for (const name of await readdir(directory)) {
    folders.push({ path: join(directory, name), usedMs: (await stat(join(directory, name))).mtimeMs });
  }
  folders.sort((a, b) => b.usedMs - a.usedMs);
  for (const { path } of folders.slice(keptTrunks)) await rm(path, { recursive: true, force: true });
}
