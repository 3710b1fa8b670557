/** The files of blobs on this machine, for workers (threads and processes) that read and write them themselves. */
import type { CallHost } from '../compute/call-host.driver.js';

export interface WorkerFiles {
  /** Where they lie, by the layout of a blob directory. */
  readonly directory: string;
  /** Runs a call while the files of the blobs that its input names are there, and stores for good those that its answer names. */
  lend<T>(input: unknown, call: () => Promise<T>): Promise<T>;
}

/** A worker whose every call has its files. */
export const lending = (files: WorkerFiles, host: CallHost): CallHost => ({
  call: (name, input) => files.lend(input, () => host.call(name, input)),
  close: () => host.close(),
});

/** Fields that hold the hash of a blob by itself. */
const hashFields: ReadonlySet<string> = new Set(['holdOut']);
const hashForm = /^[0-9a-f]{64}$/u;

/** Every blob that a plain value names: objects with `hash` and `sizeBytes`, and the fields above. */
export function blobsIn(value: unknown): string[] {
  const found = new Set<string>();
  const look = (each: unknown): void => {
    if (typeof each !== 'object' || each === null || ArrayBuffer.isView(each)) return;
    if (Array.isArray(each)) return each.forEach(look);
    const entries: [string, unknown][] = each instanceof Map ? [...each] : Object.entries(each);
    const { hash, sizeBytes } = each as { hash?: unknown; sizeBytes?: unknown };
    if (typeof hash === 'string' && typeof sizeBytes === 'number') found.add(hash);
    for (const [name, field] of entries) {
      if (typeof field === 'string' && hashFields.has(name)) found.add(field);
      else look(field);
    }
  };
  look(value);
  return [...found].filter((hash) => hashForm.test(hash));
}
