/** Remembers the sha256 of files by path, size and time of change, so that a scan reads only what is new. */
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';

import { z } from 'zod';

import { readIfPresent, writeFileAtomically } from '../config/files.adapter.js';

const entrySchema = z.tuple([z.number(), z.number(), z.string()]);
const indexSchema = z.record(z.string(), entrySchema);

export interface HashIndex {
  /** sha256 of a file in hex. @throws the file system's error; RangeError where the file is empty or over `maxBytes` */
  hash(path: string, maxBytes: number): Promise<string>;
  /** Writes the entries that were asked for; those of vanished files are dropped. */
  save(): Promise<void>;
}

export async function openHashIndex(file: string): Promise<HashIndex> {
  const known = await load(file);
  const used: Record<string, z.infer<typeof entrySchema>> = {};
  let changed = false;
  return {
    hash: async (path, maxBytes) => {
      const { size, mtimeMs } = await stat(path);
      if (size === 0) throw new RangeError('the file is empty');
      if (size > maxBytes) throw new RangeError(`the file has ${size} bytes, the limit is ${maxBytes}`);
      const entry = known[path];
      if (entry !== undefined && entry[0] === size && entry[1] === mtimeMs) {
        used[path] = entry;
        return entry[2];
      }
      const hash = createHash('sha256')
        .update(await readFile(path))
        .digest('hex');
      used[path] = [size, mtimeMs, hash];
      changed = true;
      return hash;
    },
    save: async () => {
      if (changed || Object.keys(used).length !== Object.keys(known).length) {
        await writeFileAtomically(file, JSON.stringify(used));
      }
    },
  };
}

/** The stored index; one that is damaged only costs a slower start. */
async function load(file: string): Promise<Record<string, z.infer<typeof entrySchema>>> {
  const text = await readIfPresent(file);
  if (text === undefined) return {};
  try {
    const parsed = indexSchema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : {};
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}
