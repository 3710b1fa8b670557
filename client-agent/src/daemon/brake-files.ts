/** What lies in `paused.json` and `drain.json`. A file that says nothing pauses or drains all the same. */
import { z } from 'zod';

const pauseSchema = z.object({
  sinceMs: z.number().catch(0),
  /** 'hours' where the daemon paused because the allowed hours had ended. */
  by: z.enum(['site', 'hours']).catch('site'),
  /** For people; told to the coordinator. */
  reason: z.string().max(200).catch(''),
});

export type Pause = z.infer<typeof pauseSchema>;

/** Why the site takes no work, for people at the coordinator. */
export function describePause({ by, reason }: Pause): string {
  if (by === 'hours') return reason;
  return reason === '' ? 'paused by the site' : `paused by the site: ${reason}`;
}

export function parsePause(text: string): Pause {
  return pauseSchema.parse(objectIn(text));
}

/** Finish the work in hand, but do not wait longer than this for it. */
export interface DrainRequest {
  readonly limitMs: number;
}

const longestLimitMs = 7 * 24 * 3_600_000;

/** Of a file that says nothing, such as one that was made by hand. */
const defaultLimitMs = 300_000;

const drainSchema = z.object({
  limitMs: z.number().min(0).max(longestLimitMs).catch(defaultLimitMs),
  atMs: z.number().optional().catch(undefined),
});

/** The limit counts from when it was asked. */
export function parseDrain(text: string, nowMs: number): DrainRequest {
  const { limitMs, atMs = nowMs } = drainSchema.parse(objectIn(text));
  return { limitMs: Math.max(0, Math.min(limitMs, atMs + limitMs - nowMs)) };
}

function objectIn(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
  } catch {
    // Written by hand, or cut off.
    return {};
  }
}
