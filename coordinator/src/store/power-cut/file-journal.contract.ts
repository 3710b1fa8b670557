/**
 * A record of what a program does to the files under one folder: every write, truncation, new name, rename, removal and
 * fsync, in order. It stands in front of node:fs, which PGlite's file system calls; the product knows nothing of it.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join, relative } from 'node:path';

/** Paths are relative to the folder; a file keeps its number when it is renamed. */
export type FileOperation =
  | { readonly kind: 'write'; readonly file: number; readonly at: number; readonly bytes: Buffer }
  | { readonly kind: 'truncate'; readonly file: number; readonly size: number }
  | { readonly kind: 'sync'; readonly file: number }
  | { readonly kind: 'link'; readonly path: string; readonly file: number }
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string }
  | { readonly kind: 'unlink'; readonly path: string }
  | { readonly kind: 'syncFolder' }
  /** A row whose commit was answered. */
  | { readonly kind: 'acknowledged'; readonly row: number };

export interface FileJournal {
  readonly operations: FileOperation[];
  /** What was there before the record, all of it durable: number and content of each path; undefined for a folder. */
  readonly before: ReadonlyMap<string, { readonly file: number; readonly bytes: Buffer } | undefined>;
  /** Takes the record away from in front of node:fs. */
  stop(): void;
}

export interface JournalOptions {
  /** True: an fsync is answered and does nothing, as on a disk that lies. */
  readonly ignoresSync: boolean;
}

/** Starts the record. PGlite must not have opened the folder yet. */
export function recordFiles(folder: string, { ignoresSync }: JournalOptions): FileJournal {
  const before = contentOf(folder);
  const journal = openBook(folder, before);
  const replaced = { ...callsOnDescriptors(journal, ignoresSync), ...callsOnPaths(journal) };
  Object.assign(fs, replaced);
  syncBuiltinESMExports();
  const stop = (): void => {
    const { real } = journal;
    Object.assign(fs, Object.fromEntries(Object.keys(replaced).map((name) => [name, Reflect.get(real, name)])));
    syncBuiltinESMExports();
  };
  return { operations: journal.operations, before, stop };
}

/** What the record knows of the folder at this moment. */
interface Book {
  readonly real: typeof fs;
  readonly operations: FileOperation[];
  /** Number of the file at each path. */
  readonly names: Map<string, number>;
  /** The path inside the folder; undefined outside of it. */
  readonly within: (path: unknown) => string | undefined;
  /** A new file; answers its number. */
  readonly link: (path: string) => number;
  readonly move: (from: string, to: string) => void;
}

function openBook(folder: string, before: FileJournal['before']): Book {
  const operations: FileOperation[] = [];
  const names = new Map([...before].flatMap(([path, entry]) => (entry === undefined ? [] : [[path, entry.file]])));
  let files = names.size;
  return {
    real: { ...fs },
    operations,
    names,
    within: (path) => {
      const inside = typeof path === 'string' ? relative(folder, path) : '..';
      return inside.startsWith('..') ? undefined : inside;
    },
    link: (path) => {
      names.set(path, ++files);
      operations.push({ kind: 'link', path, file: files });
      return files;
    },
    move: (from, to) => {
      for (const [path, file] of names) {
        if (path !== from && !path.startsWith(`${from}/`)) continue;
        names.delete(path);
        names.set(to + path.slice(from.length), file);
      }
      operations.push({ kind: 'rename', from, to });
    },
  };
}

/** Calls that name an open file. */
function callsOnDescriptors({ real, operations, names, within, link }: Book, ignoresSync: boolean): object {
  const opened = new Map<number, number | 'folder'>();
  return {
    openSync: (path: fs.PathLike, flags?: fs.OpenMode, mode?: fs.Mode | null): number => {
      const inside = within(path);
      const isNew = inside !== undefined && !real.existsSync(path);
      const descriptor = real.openSync(path, flags ?? 'r', mode);
      if (inside === undefined) return descriptor;
      const file = isNew ? link(inside) : (names.get(inside) ?? 'folder');
      opened.set(descriptor, file);
      const truncates = typeof flags === 'number' && (flags & fs.constants.O_TRUNC) !== 0;
      if (truncates && typeof file === 'number') operations.push({ kind: 'truncate', file, size: 0 });
      return descriptor;
    },
    closeSync: (descriptor: number): void => {
      opened.delete(descriptor);
      real.closeSync(descriptor);
    },
    writeSync: (descriptor: number, data: Uint8Array, offset = 0, length = data.length - offset, at = -1): number => {
      const written = real.writeSync(descriptor, data, offset, length, at < 0 ? null : at);
      const file = opened.get(descriptor);
      if (typeof file === 'number') {
        if (at < 0) throw new Error('the record knows no write without a position');
        const bytes = Buffer.from(data.subarray(offset, offset + written));
        operations.push({ kind: 'write', file, at, bytes });
      }
      return written;
    },
    ftruncateSync: (descriptor: number, size = 0): void => {
      real.ftruncateSync(descriptor, size);
      const file = opened.get(descriptor);
      if (typeof file === 'number') operations.push({ kind: 'truncate', file, size });
    },
    fsyncSync: (descriptor: number): void => {
      const file = opened.get(descriptor);
      // The disk of this machine is left alone: the record says what would be on it.
      if (file === undefined) real.fsyncSync(descriptor);
      else if (!ignoresSync) operations.push(file === 'folder' ? { kind: 'syncFolder' } : { kind: 'sync', file });
    },
  };
}

/** Calls that name a path. */
function callsOnPaths({ real, operations, names, within, link, move }: Book): object {
  return {
    writeFileSync: (path: string, data: string, options?: fs.WriteFileOptions): void => {
      real.writeFileSync(path, data, options);
      const inside = within(path);
      if (inside === undefined) return;
      if (data !== '') throw new Error('the record knows only new files');
      const file = names.get(inside);
      if (file === undefined) link(inside);
      else operations.push({ kind: 'truncate', file, size: 0 });
    },
    truncateSync: (path: string, size = 0): void => {
      real.truncateSync(path, size);
      const file = names.get(within(path) ?? '..');
      if (file !== undefined) operations.push({ kind: 'truncate', file, size });
    },
    mkdirSync: (path: string, options?: fs.MakeDirectoryOptions): string | undefined => {
      const made = real.mkdirSync(path, options);
      const inside = within(path);
      if (inside !== undefined) operations.push({ kind: 'folder', path: inside });
      return made;
    },
    renameSync: (from: string, to: string): void => {
      real.renameSync(from, to);
      const [old, young] = [within(from), within(to)];
      if (old !== undefined && young !== undefined) move(old, young);
    },
    unlinkSync: (path: string): void => {
      real.unlinkSync(path);
      const inside = within(path);
      if (inside !== undefined && names.delete(inside)) operations.push({ kind: 'unlink', path: inside });
    },
    rmdirSync: (path: string): void => {
      real.rmdirSync(path);
      const inside = within(path);
      if (inside !== undefined) operations.push({ kind: 'unlink', path: inside });
    },
  };
}

function contentOf(folder: string): FileJournal['before'] {
  const found = new Map<string, { readonly file: number; readonly bytes: Buffer } | undefined>();
  let files = 0;
  const look = (inside: string): void => {
    for (const entry of fs.readdirSync(join(folder, inside), { withFileTypes: true })) {
      const path = join(inside, entry.name);
      if (entry.isDirectory()) {
        found.set(path, undefined);
        look(path);
      } else found.set(path, { file: ++files, bytes: fs.readFileSync(join(folder, path)) });
    }
  };
  look('');
  return found;
}
