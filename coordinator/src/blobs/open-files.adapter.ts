/** Files that stay open from one chunk to the next: opening and closing one costs more than reading a chunk of it. */
import type { FileHandle, open } from 'node:fs/promises';

export interface OpenFiles {
  /** Does `work` with the file, which others may be reading at the same time. A file with which work fails is closed. */
  use<Value>(file: string, flags: string | number, work: (handle: FileHandle) => Promise<Value>): Promise<Value>;
  /** Forgets a file that is about to be moved or removed: it is closed when its last user is done. */
  close(file: string): Promise<void>;
}

interface Entry {
  readonly opening: Promise<FileHandle>;
  users: number;
  isForgotten: boolean;
  /** Whether it has been used since idle files were last looked for. */
  isFresh: boolean;
}

/** More than this many are only open while they are used. */
const mostIdle = 32;
const idleMs = 2_000;

export function openFiles(files: { readonly open: typeof open }): OpenFiles {
  const entries = new Map<string, Entry>();
  let timer: NodeJS.Timeout | undefined;

  const closeUnused = async (entry: Entry): Promise<void> => {
    if (entry.users === 0) await (await entry.opening).close();
  };
  const forget = async (file: string, entry: Entry): Promise<void> => {
    if (entry.isForgotten) return;
    entry.isForgotten = true;
    entries.delete(file);
    await closeUnused(entry);
  };
  const closeIdle = (): void => {
    timer = undefined;
    for (const [file, entry] of entries) {
      // What cannot be closed has been closed.
      if (!entry.isFresh && entry.users === 0) forget(file, entry).catch(() => undefined);
      entry.isFresh = false;
    }
    if (entries.size > 0) watch();
  };
  const watch = (): void => {
    timer ??= setTimeout(closeIdle, idleMs).unref();
  };
  const entryOf = (file: string, flags: string | number): Entry => {
    const known = entries.get(file);
    if (known !== undefined) return known;
    const entry: Entry = { opening: files.open(file, flags, 0o600), users: 0, isForgotten: false, isFresh: true };
    entries.set(file, entry);
    return entry;
  };

  return {
    use: async (file, flags, work) => {
      const entry = entryOf(file, flags);
      entry.users++;
      entry.isFresh = true;
      let handle: FileHandle;
      try {
        handle = await entry.opening;
      } catch (error) {
        entries.delete(file);
        throw error;
      }
      try {
        return await work(handle);
      } catch (error) {
        entry.isForgotten = true;
        entries.delete(file);
        throw error;
      } finally {
        entry.users--;
        if (entries.size > mostIdle) entries.delete(file);
        entry.isForgotten ||= entries.get(file) !== entry;
        if (entry.isForgotten) await closeUnused(entry);
        watch();
      }
    },
    close: async (file) => {
      const entry = entries.get(file);
      if (entry !== undefined) await forget(file, entry);
    },
  };
}
