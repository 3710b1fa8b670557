import * as fc from 'fast-check';

import type { Clock, Timers } from '@graft/core/clock';

import { both, pace } from './pace.js';
import { leastBytesPerS, parseRate } from './rate.js';
import { watchSilence } from './silence.js';
import { fullBucket, takeTokens } from './token-bucket.js';

/** Time that passes when it is told to. */
function virtualTime(): Clock & Timers & { pass(ms: number): Promise<void> } {
  let atMs = 0;
  let waiting: { dueMs: number; run: () => void }[] = [];
  return {
    nowMs: () => atMs,
    after: (ms, run) => {
      const entry = { dueMs: atMs + ms, run };
      waiting.push(entry);
      return () => (waiting = waiting.filter((other) => other !== entry));
    },
    pass: async (ms) => {
      atMs += ms;
      const due = waiting.filter(({ dueMs }) => dueMs <= atMs).sort((a, b) => a.dueMs - b.dueMs);
      waiting = waiting.filter((entry) => !due.includes(entry));
      for (const { run } of due) run();
      for (let turn = 0; turn < 10; turn++) await Promise.resolve();
    },
  };
}

describe('a rate in words', () => {
  test.each([
    ['10 MB/s', 10_000_000],
    ['10MB/s', 10_000_000],
    ['500 kB/s', 500_000],
    ['1.5 GiB/s', 1_610_612_736],
    ['8 Mbit/s', 1_000_000],
    ['16000 B/s', leastBytesPerS],
  ])('%s is %i bytes a second', (text, bytesPerS) => {
    expect(parseRate(text)).toBe(bytesPerS);
  });

  test.each([
    '',
    '10',
    '10 MB',
    'fast',
    '-1 MB/s',
    '0 MB/s',
    '1 kB/s',
    '1e9 MB/s',
    '10 mb/h',
    '999999999999999999 GB/s',
    '20000 b/s',
  ])('%j is none', (text) => {
    expect(parseRate(text)).toBeUndefined();
  });
});

describe('a token bucket', () => {
  test('lets no more pass than its burst and what its rate allows, however it is asked', () => {
    const asks = fc.array(fc.record({ afterMs: fc.nat(2_000), bytes: fc.nat(5_000) }), { minLength: 1 });
    const rates = fc.record({ bytesPerS: fc.integer({ min: 1, max: 10_000 }), burstBytes: fc.nat(5_000) });
    fc.assert(
      fc.property(rates, asks, (rate, all) => {
        let bucket = fullBucket(rate, 0);
        let atMs = 0;
        let passed = 0;
        let lastPassMs = 0;
        for (const { afterMs, bytes } of all) {
          atMs += afterMs;
          const taken = takeTokens(bucket, rate, { bytes, atMs });
          ({ bucket } = taken);
          passed += bytes;
          lastPassMs = Math.max(lastPassMs, atMs + taken.waitMs);
        }
        expect(passed).toBeLessThanOrEqual(rate.burstBytes + (lastPassMs / 1000) * rate.bytesPerS + 1e-6);
      }),
    );
  });

  test('gives nothing for a clock that goes back', () => {
    const rate = { bytesPerS: 100, burstBytes: 100 };
    const { bucket } = takeTokens(fullBucket(rate, 10_000), rate, { bytes: 100, atMs: 10_000 });
    expect(takeTokens(bucket, rate, { bytes: 100, atMs: 0 }).waitMs).toBe(1_000);
  });
});

describe('a pace', () => {
  test('is shared: two transfers together are as fast as one', async () => {
    const time = virtualTime();
    const shared = pace(1_000, time);
    const passed: string[] = [];
    for (const name of ['a', 'b', 'a', 'b']) void shared.take(500).then(() => passed.push(name));
    await time.pass(0);
    expect(passed).toEqual(['a']);
    await time.pass(500);
    expect(passed).toEqual(['a', 'b']);
    await time.pass(1_000);
    expect(passed).toEqual(['a', 'b', 'a', 'b']);
  });

  test('lets everything pass where there is no limit', async () => {
    await expect(pace(undefined, virtualTime()).take(1e12)).resolves.toBeUndefined();
  });

  test('of two is the stricter one', async () => {
    const time = virtualTime();
    let passed = false;
    void both(pace(1_000, time), pace(100, time))
      .take(600)
      .then(() => (passed = true));
    await time.pass(1_000);
    expect(passed).toBe(false);
    await time.pass(4_500);
    expect(passed).toBe(true);
  });

  test('does not hold up what is cancelled', async () => {
    const time = virtualTime();
    const cancelled = new AbortController();
    const waiting = pace(1, time).take(1_000, cancelled.signal);
    cancelled.abort();
    await expect(waiting).resolves.toBeUndefined();
  });
});

describe('a transfer', () => {
  test('is cut when it stands still, not when it takes long', async () => {
    const time = virtualTime();
    let cut = 0;
    const watch = watchSilence(time, 100, () => cut++);
    for (let chunk = 0; chunk < 50; chunk++) {
      await time.pass(99);
      watch.progress();
    }
    expect(cut).toBe(0);
    await time.pass(100);
    expect(cut).toBe(1);
  });

  test('that is over is not cut', async () => {
    const time = virtualTime();
    let cut = 0;
    watchSilence(time, 100, () => cut++).end();
    await time.pass(1_000);
    expect(cut).toBe(0);
  });
});
