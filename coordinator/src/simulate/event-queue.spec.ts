import * as fc from 'fast-check';

import { eventQueue } from './event-queue.js';

describe('the queue of events', () => {
  it('gives what is due first, of one moment what was planned first, however adding and taking alternate', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.integer({ min: 0, max: 5 }))), (steps) => {
        const queue = eventQueue<number>();
        const model: { atMs: number; order: number }[] = [];
        steps.forEach((atMs, order) => {
          if (atMs !== null) {
            queue.add(atMs, order);
            model.push({ atMs, order });
            return;
          }
          model.sort((a, b) => a.atMs - b.atMs || a.order - b.order);
          expect(queue.nextMs()).toBe(model[0]?.atMs ?? Infinity);
          expect(queue.take()?.value).toBe(model.shift()?.order);
        });
        expect(queue.size()).toBe(model.length);
      }),
    );
  });
});
