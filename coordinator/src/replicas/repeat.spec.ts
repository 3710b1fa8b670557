import { repeat } from './repeat.js';

/** Timers that fire when they are told to. */
function manualTimers() {
  let due: (() => void) | undefined;
  return {
    fire: () => due?.(),
    isSet: () => due !== undefined,
    after: (_ms: number, run: () => void) => {
      due = run;
      return () => void (due = undefined);
    },
  };
}

const logger = { info: () => undefined, warn: () => undefined, error: () => undefined };
const options = { what: 'work', logger, everyMs: () => 10 };

describe('work that is repeated', () => {
  test('that is asked for while it is done is done once more, however often it was asked for', async () => {
    let done = 0;
    let finish = (): void => undefined;
    const work = (): Promise<void> =>
      new Promise((resolve) => {
        finish = () => {
          done += 1;
          resolve();
        };
      });
    const repeated = repeat(work, { ...options, timers: manualTimers() });
    const first = repeated.now();
    const others = [repeated.now(), repeated.now(), repeated.now()];
    finish();
    await first;
    await Promise.resolve();
    finish();
    await Promise.all(others);
    expect(done).toBe(2);
  });

  test('comes again by itself, also after it failed, and not after it was stopped', async () => {
    const timers = manualTimers();
    let tries = 0;
    const repeated = repeat(
      async () => {
        tries += 1;
        throw new Error('the database is away');
      },
      { ...options, timers },
    );
    timers.fire();
    await repeated.now();
    expect(tries).toBe(2);
    expect(timers.isSet()).toBe(true);
    await repeated.stop();
    expect(timers.isSet()).toBe(false);
    await repeated.now();
    expect(tries).toBe(2);
  });
});
