/**
 * The trace of a round, W3C Trace Context (w3.org/TR/trace-context). Its ids are made of run and round, so that a coordinator that
 * takes over a round, and an agent that works on it, add to the same trace without being told.
 */
import { createHash } from 'node:crypto';

/** 00-(16 bytes trace id)-(8 bytes span id)-01, hex. */
export function roundTraceparent(runId: string, round: number): string {
  const hash = createHash('sha256').update(`graft/v1/trace\0${runId}\0${round}`).digest('hex');
  return `00-${hash.slice(0, 32)}-${hash.slice(32, 48)}-01`;
}
