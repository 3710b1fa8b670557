import { callHost, type Channel } from './call-host.driver.js';
import { answerCall, type CallReply, type CallRequest } from './calls.js';

const logger = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** Workers that answer as `behave` says; 'die' ends the worker in the middle of the call. */
function workers(behave: (request: CallRequest, worker: number) => unknown): {
  start: () => Channel;
  started: () => number;
} {
  let started = 0;
  const start = (): Channel => {
    started += 1;
    const worker = started;
    let reply: (reply: CallReply) => void = () => undefined;
    let end: (cause: string) => void = () => undefined;
    return {
      post: (request) => {
        const answer = async (): Promise<void> => {
          await Promise.resolve();
          const output = behave(request, worker);
          if (output === 'die') end('signal SIGKILL');
          else reply(await answerCall({ work: () => output, fail: () => Promise.reject(new Error('no')) }, request));
        };
        void answer();
      },
      onReply: (listener) => (reply = listener),
      onEnd: (listener) => (end = listener),
      end: async () => end('closed'),
    };
  };
  return { start, started: () => started };
}

describe('a host of calls', () => {
  it('starts its worker with the first call, and answers calls in order', async () => {
    const { start, started } = workers(({ input }) => input);
    const host = callHost('the worker', start, logger);
    expect(started()).toBe(0);
    expect(await Promise.all([1, 2, 3].map((n) => host.call('work', n)))).toEqual([1, 2, 3]);
    expect(started()).toBe(1);
  });

  it('tries a call once more in a new worker when the first one dies, and goes on with the others', async () => {
    const { start, started } = workers(({ input }, worker) => (worker === 1 && input === 'b' ? 'die' : input));
    const host = callHost('the worker', start, logger);
    expect(await Promise.all(['a', 'b', 'c'].map((n) => host.call('work', n)))).toEqual(['a', 'b', 'c']);
    expect(started()).toBe(2);
  });

  it('fails a call that kills two workers, with the cause, and goes on with the others', async () => {
    const { start } = workers(({ input }) => (input === 'poison' ? 'die' : input));
    const host = callHost('the worker', start, logger);
    const [poison, next] = await Promise.allSettled([host.call('work', 'poison'), host.call('work', 1)]);
    expect(poison).toMatchObject({
      status: 'rejected',
      reason: { code: 'COMPUTE_FAILED', message: 'work failed 2 times because the worker ended: signal SIGKILL' },
    });
    expect(next).toEqual({ status: 'fulfilled', value: 1 });
  });

  it('passes on what a call throws, without a second try', async () => {
    const { start, started } = workers(({ input }) => input);
    const host = callHost('the worker', start, logger);
    await expect(host.call('fail', 1)).rejects.toMatchObject({ code: 'COMPUTE_FAILED', message: 'fail: no' });
    await expect(host.call('unknown', 1)).rejects.toMatchObject({
      code: 'INTERNAL',
      message: "there is no call 'unknown'",
    });
    expect(started()).toBe(1);
  });

  it('refuses what is left when it closes', async () => {
    const { start } = workers(() => new Promise(() => undefined));
    const host = callHost('the worker', start, logger);
    const calls = [host.call('work', 1), host.call('work', 2)];
    const settled = Promise.allSettled(calls);
    await host.close();
    expect((await settled).map((one) => one.status)).toEqual(['rejected', 'rejected']);
    await expect(host.call('work', 3)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});
