import { rateLimit } from './rate-limit.js';

const attemptsFrom = (limit: ReturnType<typeof rateLimit>, address: string, atMs: number, count: number): number => {
  let allowed = 0;
  for (let i = 0; i < count; i++) {
    try {
      limit.take(address, atMs);
      allowed++;
    } catch (error) {
      expect(error).toMatchObject({ code: 'RATE_LIMITED', message: expect.stringMatching(/wait \d+ s/u) });
    }
  }
  return allowed;
};

test('an address has a burst of attempts, then one at a time, whatever others do', () => {
  const limit = rateLimit({ burst: 3, refillMs: 1_000, addresses: 100 });
  expect(attemptsFrom(limit, 'a', 0, 10)).toBe(3);
  expect(attemptsFrom(limit, 'b', 0, 10)).toBe(3);
  expect(attemptsFrom(limit, 'a', 1_000, 10)).toBe(1);
  expect(attemptsFrom(limit, 'a', 60_000, 10)).toBe(3);
});

test('a flood from many addresses does not grow the memory, and a clock that jumps back gives nothing away', () => {
  const limit = rateLimit({ burst: 1, refillMs: 1_000, addresses: 10 });
  for (let i = 0; i < 1_000; i++) limit.take(`address ${i}`, 0);
  expect(attemptsFrom(limit, 'address 999', -5_000, 3)).toBe(0);
});
