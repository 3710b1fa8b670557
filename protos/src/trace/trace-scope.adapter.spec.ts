import { setTimeout as sleep } from 'node:timers/promises';

import { currentTraceparent, inTrace } from './trace-scope.adapter.js';

test('work that runs side by side stays in its own trace, and nothing leaks out', async () => {
  const seen = async (trace: string): Promise<(string | undefined)[]> =>
    inTrace(trace, async () => {
      const first = currentTraceparent();
      await sleep(5);
      return [first, currentTraceparent(), await inTrace(`${trace}.inner`, async () => currentTraceparent())];
    });
  expect(await Promise.all([seen('a'), seen('b')])).toEqual([
    ['a', 'a', 'a.inner'],
    ['b', 'b', 'b.inner'],
  ]);
  expect(currentTraceparent()).toBeUndefined();
});
