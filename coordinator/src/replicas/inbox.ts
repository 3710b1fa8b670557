/**
 * Messages for the owner of a run from replicas that do not own it. A port. A message is a row under the name that it keeps
 * when it is sent again; its verdict is written in the transaction that stores what it did, by the owner of the run alone.
 */
import type { Answer, Letter, RunMessage } from '../rounds/run-message.js';

export interface Inbox {
  /**
   * Puts a message in and answers its number. While the same key waits for its answer, it is that message; one that was answered is
   * asked again, because the run may have moved on: the machine answers a repetition as before.
   */
  put(runId: string, key: string, message: RunMessage): Promise<number>;
  /** Messages of these runs that wait, in the order in which they came. */
  waiting(runIds: readonly string[]): Promise<readonly Letter[]>;
  /** What came of a message; undefined while it waits. */
  answerOf(seq: number): Promise<Answer | undefined>;
  /** Removes messages that were answered so long ago, and those of runs that are over. */
  purge(olderThanMs: number): Promise<void>;
}
