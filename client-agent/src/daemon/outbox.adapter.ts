/**
 * Reports that the coordinator has not acknowledged yet, one folder an instruction: `record.json` and, for an update,
 * the sealed file beside it. A record is written once everything it names is on the disk, and removed once a verdict came:
 * after kill -9 a finished update is reported again, never trained again.
 */
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { isMissing, readIfPresent, syncFolder, writeFileAtomically } from '../config/files.adapter.js';

const base = { instructionId: z.string(), runId: z.string(), round: z.number(), atMs: z.number() };

const measuresSchema = z.object({
  examples: z.number(),
  correct: z.number(),
  lossSum: z.number(),
  latencyP50Ms: z.number(),
  latencyP95Ms: z.number(),
});

/** graft.v1.ReportEvaluationRequest without what the record has already. */
const evaluationSchema = z.object({ fp32: measuresSchema, int8: measuresSchema.exactOptional(), klSum: z.number() });

export const outboxRecordSchema = z.discriminatedUnion('kind', [
  z.object({
    ...base,
    kind: z.literal('update'),
    taskId: z.string(),
    /** The serialized manifest and its signature, base64. */
    manifest: z.string(),
    signature: z.string(),
    ciphertext: z.object({ hash: z.string(), sizeBytes: z.number() }),
    exampleCount: z.number(),
    /** For people; null where nothing was trained. */
    initialLoss: z.number().nullable(),
    loss: z.number().nullable(),
    workMs: z.number(),
  }),
  z.object({ ...base, kind: z.literal('evaluation'), request: evaluationSchema }),
  z.object({ ...base, kind: z.literal('failure'), code: z.string(), message: z.string() }),
  z.object({ ...base, kind: z.literal('installed'), releaseId: z.string() }),
]);

export type OutboxRecord = z.infer<typeof outboxRecordSchema>;

export interface Outbox {
  /** Folder for the files of an instruction's report; created. */
  folder(instructionId: string): Promise<string>;
  /** The file that an update's ciphertext is written to. */
  sealedFile(instructionId: string): string;
  put(record: OutboxRecord): Promise<void>;
  get(instructionId: string): Promise<OutboxRecord | undefined>;
  /** Finished reports, oldest first. */
  list(): Promise<readonly OutboxRecord[]>;
  /** The same, once at start: what was cut off is removed, a record whose sealed file is not whole too. */
  recover(): Promise<readonly OutboxRecord[]>;
  remove(instructionId: string): Promise<void>;
}

/** The finished reports of a directory, without touching it: a daemon may be at work there. */
export async function readOutbox(directory: string): Promise<readonly OutboxRecord[]> {
  const records: OutboxRecord[] = [];
  for (const entry of await readdir(directory).catch(noFolder)) {
    const record = await readRecord(join(directory, entry));
    if (record !== undefined) records.push(record);
  }
  return records.sort((a, b) => a.atMs - b.atMs);
}

export function openOutbox(directory: string): Outbox {
  const folderOf = (id: string): string => join(directory, encodeURIComponent(id).replaceAll('.', '%2E'));
  return {
    folder: async (id) => {
      await mkdir(folderOf(id), { recursive: true });
      return folderOf(id);
    },
    sealedFile: (id) => join(folderOf(id), 'update.sealed'),
    put: async (record) => {
      await writeFileAtomically(join(folderOf(record.instructionId), 'record.json'), JSON.stringify(record), 0o640);
      await syncFolder(directory);
    },
    get: (id) => readRecord(folderOf(id)),
    list: () => readOutbox(directory),
    recover: async () => {
      await mkdir(directory, { recursive: true });
      for (const entry of await readdir(directory)) {
        const record = await readRecord(join(directory, entry));
        if (record === undefined || !(await isWhole(record, join(directory, entry))))
          await rm(join(directory, entry), { recursive: true, force: true });
      }
      return readOutbox(directory);
    },
    remove: (id) => rm(folderOf(id), { recursive: true, force: true }),
  };
}

async function isWhole(record: OutboxRecord, folder: string): Promise<boolean> {
  if (record.kind !== 'update') return true;
  const sealed = await stat(join(folder, 'update.sealed')).catch(noFile);
  return sealed?.size === record.ciphertext.sizeBytes;
}

function noFile(error: unknown): undefined {
  if (!isMissing(error)) throw error;
}

async function readRecord(folder: string): Promise<OutboxRecord | undefined> {
  const text = await readIfPresent(join(folder, 'record.json'));
  return text === undefined ? undefined : outboxRecordSchema.safeParse(JSON.parse(text)).data;
}

function noFolder(error: unknown): string[] {
  if (isMissing(error)) return [];
  throw error;
}
