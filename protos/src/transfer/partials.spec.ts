import * as fc from 'fast-check';

import { partialsToSweep, type SweepLimits } from './partials.js';

const limits: SweepLimits = { atMs: 10_000, maxAgeMs: 5_000, maxBytes: 100, graceMs: 1_000 };
const partial = (name: string, sizeBytes: number, writtenAtMs: number) => ({ name, sizeBytes, writtenAtMs });
const swept = (...found: ReturnType<typeof partial>[]): string[] =>
  partialsToSweep(found, limits).map(({ name }) => name);

describe('half-received files', () => {
  test('that nobody has come back for in time are deleted', () => {
    expect(swept(partial('old', 1, 4_000), partial('recent', 1, 6_000))).toEqual(['old']);
  });

  test('are deleted oldest first where they take too much room', () => {
    expect(swept(partial('second', 60, 7_000), partial('first', 60, 6_000), partial('third', 60, 8_000))).toEqual([
      'first',
      'second',
    ]);
  });

  test('stay while they are being received, whatever they take', () => {
    expect(swept(partial('now', 1_000, 9_500), partial('before', 10, 8_000))).toEqual(['before']);
  });

  test('never take more than the limit, but for those that are being received', () => {
    const anyPartial = fc.record({
      name: fc.string(),
      sizeBytes: fc.nat(80),
      writtenAtMs: fc.integer({ min: 0, max: 10_000 }),
    });
    fc.assert(
      fc.property(fc.array(anyPartial), (found) => {
        const gone = new Set(partialsToSweep(found, limits));
        const idle = found.filter((one) => !gone.has(one) && limits.atMs - one.writtenAtMs > limits.graceMs);
        const total = (files: typeof found): number => files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
        const busy = total(found.filter((one) => limits.atMs - one.writtenAtMs <= limits.graceMs));
        expect(total(idle) === 0 || total(idle) + busy <= limits.maxBytes).toBe(true);
        expect(idle.every(({ writtenAtMs }) => limits.atMs - writtenAtMs <= limits.maxAgeMs)).toBe(true);
      }),
    );
  });
});
