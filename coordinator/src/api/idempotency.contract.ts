/** What the answers to repeated requests keep, on any database. */
import { answerKeptMs, earlierAnswer, type Answer, type AnswerStore } from './idempotency.js';

let keys = 0;
const attempt = (requestHash = 'request') => ({ id: `attempt-${++keys}`, requestHash });
const answer = { status: 201, body: '{"id":1}' };
const atMs = 1_000_000_000;

export function answersContract(store: () => AnswerStore): void {
  describe('an answer', () => {
    test('is given again to the same request, and refused to another', async () => {
      const first = attempt();
      expect(await earlierAnswer(store(), first, atMs)).toBeUndefined();
      await store().finish(first, answer);
      expect(await earlierAnswer(store(), first, atMs + 1)).toEqual(answer);
      await expect(earlierAnswer(store(), { ...first, requestHash: 'other' }, atMs)).rejects.toMatchObject({
        code: 'INVALID_REQUEST',
      });
    });

    test('that is still worked on is waited for; of many at once one does the work', async () => {
      const first = attempt();
      const all = await Promise.allSettled(Array.from({ length: 6 }, async () => earlierAnswer(store(), first, atMs)));
      expect(all.filter(({ status }) => status === 'fulfilled').length).toBe(1);
      await expect(earlierAnswer(store(), first, atMs)).rejects.toMatchObject({ code: 'REQUEST_IN_PROGRESS' });
    });

    test('of a request that failed, or whose coordinator died, is worked out anew', async () => {
      const [failed, died] = [attempt(), attempt()];
      await earlierAnswer(store(), failed, atMs);
      await store().forget(failed);
      expect(await earlierAnswer(store(), failed, atMs)).toBeUndefined();
      await earlierAnswer(store(), died, atMs);
      expect(await earlierAnswer(store(), died, atMs + 3_600_000)).toBeUndefined();
    });

    test('expires after a day', async () => {
      const first = attempt();
      await earlierAnswer(store(), first, atMs);
      await store().finish(first, answer);
      expect(await earlierAnswer(store(), first, atMs + answerKeptMs)).toEqual(answer);
      expect(await earlierAnswer(store(), first, atMs + answerKeptMs + 1)).toBeUndefined();
    });
  });
}

/** Answers kept in memory: at most `limit`, the oldest go first. */
export function memoryAnswers(limit: number): AnswerStore {
  const kept = new Map<string, { requestHash: string; atMs: number; answer?: Answer }>();
  return {
    begin: async ({ id, requestHash }, atMs) => {
      const earlier = kept.get(id);
      if (earlier !== undefined && atMs - earlier.atMs < answerKeptMs) return earlier;
      kept.set(id, { requestHash, atMs });
      for (const oldest of kept.keys()) {
        if (kept.size <= limit) break;
        kept.delete(oldest);
      }
      return undefined;
    },
    finish: async ({ id }, answer) => {
      const entry = kept.get(id);
      if (entry !== undefined) kept.set(id, { ...entry, answer });
    },
    forget: async ({ id }) => void kept.delete(id),
  };
}
