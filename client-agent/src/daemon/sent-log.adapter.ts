/** The site's own record of everything that left it: one JSON object a line, appended and synced before the bytes go out. */
import { z } from 'zod';

import { appendDurably, readIfPresent } from '../config/files.adapter.js';

export const sentKinds = [
  'enrolment',
  'hello',
  'update',
  'update-report',
  'evaluation',
  'failure',
  'installed',
  'progress',
] as const;

export const sentEntrySchema = z.object({
  /** ISO 8601, UTC. */
  time: z.string(),
  what: z.enum(sentKinds),
  /** Where it went, host:port. */
  to: z.string(),
  /** Size of the content; what TLS and framing add is not counted. */
  bytes: z.number(),
  /** Of the content, where it is one piece. */
  sha256: z.string().optional(),
  task: z.string().optional(),
  run: z.string().optional(),
  round: z.number().optional(),
  /** For people: what the content says. */
  note: z.string().optional(),
});

export type SentEntry = z.infer<typeof sentEntrySchema>;

export interface SentLog {
  /** Resolves once the line is on the disk. */
  append(entry: Omit<SentEntry, 'time'>): Promise<void>;
}

export function openSentLog(file: string, nowMs: () => number = Date.now): SentLog {
  return {
    append: (entry) => appendDurably(file, `${JSON.stringify({ time: new Date(nowMs()).toISOString(), ...entry })}\n`),
  };
}

/** All entries, oldest first. A line that a power cut tore is counted, not shown. */
export async function readSentLog(file: string): Promise<{ readonly entries: SentEntry[]; readonly damaged: number }> {
  const entries: SentEntry[] = [];
  let damaged = 0;
  for (const line of ((await readIfPresent(file)) ?? '').split('\n')) {
    if (line === '') continue;
    const entry = parseLine(line);
    if (entry === undefined) damaged += 1;
    else entries.push(entry);
  }
  return { entries, damaged };
}

function parseLine(line: string): SentEntry | undefined {
  try {
    return sentEntrySchema.safeParse(JSON.parse(line)).data;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
