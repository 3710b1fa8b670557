/**
 * A POST that is repeated with the same Idempotency-Key gets the first answer again (draft-ietf-httpapi-idempotency-key-header).
 * Pure: what was answered is kept behind a port.
 */
import { GraftError } from '@graft/core/error';

/** How long an answer is kept. */
export const answerKeptMs = 24 * 3_600_000;

export interface Answer {
  readonly status: number;
  /** JSON text. */
  readonly body: string;
}

export interface Attempt {
  /** Unique to one caller and one key: another caller's key is another attempt. */
  readonly id: string;
  /** Method, path and body, hashed: the same key for another request is a mistake. */
  readonly requestHash: string;
}

export interface AnswerStore {
  /** The answer of this attempt, 'begun' where it is still being worked on, undefined where it is new: then it has begun now. */
  begin(
    attempt: Attempt,
    atMs: number,
  ): Promise<{ readonly requestHash: string; readonly answer?: Answer } | undefined>;
  finish(attempt: Attempt, answer: Answer): Promise<void>;
  /** The request failed: it may be tried again. */
  forget(attempt: Attempt): Promise<void>;
}

/** The answer to give again, or undefined where the request is to be done. Throws INVALID_REQUEST, REQUEST_IN_PROGRESS. */
export async function earlierAnswer(store: AnswerStore, attempt: Attempt, atMs: number): Promise<Answer | undefined> {
  const earlier = await store.begin(attempt, atMs);
  if (earlier === undefined) return undefined;
  if (earlier.requestHash !== attempt.requestHash) {
    throw new GraftError('INVALID_REQUEST', 'this Idempotency-Key was used for another request; take a new one');
  }
  if (earlier.answer === undefined) {
    throw new GraftError('REQUEST_IN_PROGRESS', 'the first request with this Idempotency-Key is still being worked on');
  }
  return earlier.answer;
}
