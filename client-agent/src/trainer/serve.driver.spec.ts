import { setTimeout as sleep } from 'node:timers/promises';

import { serveJobs, type TrainerJobs } from './serve.driver.js';
import type { TrainerReply } from './trainer-calls.js';

/** A trainer whose jobs `runtime` wait until they are let go or cancelled; no other is asked of it. */
function trainer() {
  const replies: TrainerReply[] = [];
  const begun: AbortSignal[] = [];
  const letGo: (() => void)[] = [];
  let listener: (message: unknown) => void = () => undefined;
  const jobs: Pick<TrainerJobs, 'runtime'> = {
    runtime: async (_, { signal }) => {
      begun.push(signal);
      await new Promise<void>((resolve) => {
        letGo.push(resolve);
        signal.addEventListener('abort', () => resolve());
      });
      signal.throwIfAborted();
      return { name: 'none', device: 'none', about: 'none', threads: 1, startMs: 0 };
    },
  };
  serveJobs({ on: (_, heard) => (listener = heard), send: (reply) => replies.push(reply) }, jobs as TrainerJobs);
  return {
    replies,
    begun,
    letGo,
    ask: (id: number, call: 'runtime' | 'cancel') => listener({ id, call, input: null }),
  };
}

describe('jobs of a trainer', () => {
  it('come one after another', async () => {
    const { replies, begun, letGo, ask } = trainer();
    ask(1, 'runtime');
    ask(2, 'runtime');
    await sleep(0);
    expect(begun).toHaveLength(1);
    letGo[0]?.();
    await sleep(0);
    expect(begun).toHaveLength(2);
    letGo[1]?.();
    await sleep(0);
    expect(replies.map(({ id, kind }) => [id, kind])).toEqual([
      [1, 'done'],
      [2, 'done'],
    ]);
  });

  it('that are cancelled while they wait are answered at once, never begin, and leave the job in hand alone', async () => {
    const { replies, begun, letGo, ask } = trainer();
    ask(1, 'runtime');
    ask(2, 'runtime');
    await sleep(0);
    ask(2, 'cancel');
    expect(replies).toEqual([{ id: 2, kind: 'failed', code: 'CANCELLED', message: 'cancelled', details: {} }]);
    expect(begun[0]?.aborted).toBe(false);
    letGo[0]?.();
    await sleep(0);
    expect(begun).toHaveLength(1);
    expect(replies.map(({ id }) => id)).toEqual([2, 1]);
  });

  it('that are cancelled in hand end, and the next one begins', async () => {
    const { replies, begun, ask } = trainer();
    ask(1, 'runtime');
    ask(2, 'runtime');
    await sleep(0);
    ask(1, 'cancel');
    ask(1, 'cancel');
    await sleep(0);
    expect(replies).toEqual([expect.objectContaining({ id: 1, code: 'CANCELLED' })]);
    expect(begun).toHaveLength(2);
  });
});
