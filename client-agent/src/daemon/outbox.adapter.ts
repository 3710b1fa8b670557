/**
 * Reports that the coordinator has not acknowledged yet, one folder an instruction: `record.json` and, for an update,
 * the sealed file beside it. A record is written once everything it names is on the disk, and removed once a verdict came:
 * after kill -9 a finished update is reported again, never trained again.
 */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { z } from 'zod';

import { readIfPresent, syncFolder, writeFileAtomically } from '../config/files.adapter.js';

const base = { instructionId: z.string(), runId: z.string(), round: z.number(), atMs: z.number() };

const measuresSchema = z.object({
  examples: z.number(),
  correct: z.number(),
  lossSum: z.number(),
  latencyP50Ms: z.number(),
  latencyP95Ms: z.number(),
});

/** graft.v1.ReportEvaluationRequest without what the record has already. */
const evaluationSchema = z.object({ fp32: measuresSchema, int8: measuresSchema.optional(), klSum: z.number() });

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
  /** Finished reports, oldest first. Folders without a record (work that was cut off) are removed, but those `inHand`. */
  list(inHand?: ReadonlySet<string>): Promise<readonly OutboxRecord[]>;
  remove(instructionId: string): Promise<void>;
}

export function openOutbox(directory: string): Outbox {
  const folderOf = (id: string): string => join(directory, encodeURIComponent(id).replaceAll('.', '%2E'));
  const read = async (folder: string): Promise<OutboxRecord | undefined> => {
    const text = await readIfPresent(join(folder, 'record.json'));
    return text === undefined ? undefined : outboxRecordSchema.safeParse(JSON.parse(text)).data;
  };
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
    get: (id) => read(folderOf(id)),
    list: async (inHand = new Set()) => {
      await mkdir(directory, { recursive: true });
      const spared = new Set([...inHand].map((id) => basename(folderOf(id))));
      const records: OutboxRecord[] = [];
      for (const entry of await readdir(directory)) {
        const record = await read(join(directory, entry));
        if (record !== undefined) records.push(record);
        else if (!spared.has(entry)) await rm(join(directory, entry), { recursive: true, force: true });
      }
      return records.sort((a, b) => a.atMs - b.atMs);
    },
    remove: (id) => rm(folderOf(id), { recursive: true, force: true }),
  };
}
