/**
 * What a disk holds after a power cut, from the record of a program's file operations. The rules are those of a journalling
 * file system (ext4, XFS): an fsync of a file brings its content and the names given before it; of what was written after it
 * any blocks may be there and others not (torn writes); of names that nothing synced, the first so many are there.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import type { random } from '@graft/core/random';

import type { FileJournal, FileOperation } from './file-journal.contract.js';

type Random = ReturnType<typeof random>;
type Change = Extract<FileOperation, { kind: 'write' | 'truncate' }>;
type Naming = Extract<FileOperation, { kind: 'link' | 'folder' | 'rename' | 'unlink' }>;

interface DiskFile {
  bytes: Buffer;
  isOwn: boolean;
  /** Since its last fsync. */
  pending: Change[];
}

/** Writes into `folder` what is left of the first `count` operations. */
export function writeDiskImage(folder: string, journal: FileJournal, count: number, stream: Random): void {
  const files = new Map<number, DiskFile>();
  const names = new Map<string, number | undefined>();
  for (const [path, entry] of journal.before) {
    names.set(path, entry?.file);
    if (entry !== undefined) files.set(entry.file, { bytes: entry.bytes, isOwn: false, pending: [] });
  }
  let unsynced: Naming[] = [];
  for (const operation of journal.operations.slice(0, count)) {
    switch (operation.kind) {
      case 'write':
      case 'truncate':
        files.get(operation.file)?.pending.push(operation);
        break;
      case 'sync': {
        const file = files.get(operation.file);
        if (file === undefined) break;
        for (const change of file.pending) apply(file, change);
        file.pending = [];
        const named = unsynced.findLastIndex((each) => each.kind === 'link' && each.file === operation.file);
        for (const naming of unsynced.splice(0, named + 1)) name(names, naming);
        break;
      }
      case 'syncFolder':
        for (const naming of unsynced) name(names, naming);
        unsynced = [];
        break;
      case 'acknowledged':
        break;
      default:
        if (operation.kind === 'link') files.set(operation.file, { bytes: Buffer.alloc(0), isOwn: true, pending: [] });
        unsynced.push(operation);
    }
  }
  for (const naming of unsynced.slice(0, stream.below(unsynced.length + 1))) name(names, naming);
  for (const file of files.values()) tear(file, stream);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const [path, number] of names) {
    const file = number === undefined ? undefined : files.get(number);
    mkdirSync(join(folder, file === undefined ? path : dirname(path)), { recursive: true, mode: 0o700 });
    if (file !== undefined) writeFileSync(join(folder, path), file.bytes, { mode: 0o600 });
  }
}

function name(names: Map<string, number | undefined>, naming: Naming): void {
  if (naming.kind === 'link') names.set(naming.path, naming.file);
  else if (naming.kind === 'folder') names.set(naming.path, undefined);
  else if (naming.kind === 'unlink') names.delete(naming.path);
  else {
    for (const [path, file] of names) {
      if (path !== naming.from && !path.startsWith(`${naming.from}/`)) continue;
      names.delete(path);
      names.set(naming.to + path.slice(naming.from.length), file);
    }
  }
}

/** The journal's own bytes stay as they are: they are copied before the first change. */
function apply(file: DiskFile, change: Change): void {
  const size = change.kind === 'truncate' ? change.size : Math.max(file.bytes.length, change.at + change.bytes.length);
  if (!file.isOwn || size !== file.bytes.length) {
    const next = Buffer.alloc(size);
    file.bytes.copy(next);
    Object.assign(file, { bytes: next, isOwn: true });
  }
  if (change.kind === 'write') change.bytes.copy(file.bytes, change.at);
}

/** Of what no fsync confirmed: nothing, all, the first blocks, or any of them. */
function tear(file: DiskFile, stream: Random): void {
  const block = stream.below(2) === 0 ? 512 : 4096;
  const pieces = file.pending.flatMap((change) => blocksOf(change, block));
  const first = stream.below(2) === 0 ? stream.below(pieces.length + 1) : undefined;
  const kept = pieces.filter((_, index) => (first === undefined ? stream.below(2) === 0 : index < first));
  for (const piece of kept) apply(file, piece);
  file.pending = [];
}

function blocksOf(change: Change, block: number): Change[] {
  if (change.kind === 'truncate') return [change];
  const pieces: Change[] = [];
  for (let start = 0; start < change.bytes.length;) {
    const end = Math.min(change.bytes.length, start + block - ((change.at + start) % block));
    pieces.push({ ...change, at: change.at + start, bytes: change.bytes.subarray(start, end) });
    start = end;
  }
  return pieces;
}
