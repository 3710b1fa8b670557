import * as fc from 'fast-check';

import { hourMs, presenceOf, type Period } from './presence.js';

function periodsUntil(device: Parameters<typeof presenceOf>[0], seed: number, untilMs: number): Period[] {
  const periods: Period[] = [];
  for (const period of presenceOf(device, seed)) {
    periods.push(period);
    if (period.untilMs >= untilMs) return periods;
  }
  return periods;
}

/** Share of devices that are connected in the middle of an hour. */
function shareAt(availability: number[], timeZoneHours: number, hour: number): number {
  const count = 600;
  const atMs = hour * hourMs;
  const connected = Array.from({ length: count }, (_, seed) => {
    const period = periodsUntil({ availability, timeZoneHours }, seed, atMs + 1).find((one) => one.untilMs > atMs);
    return period?.connected === true;
  });
  return connected.filter(Boolean).length / count;
}

describe('the presence of a device', () => {
  it('has periods that follow each other and alternate', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.05, max: 0.95 }), { minLength: 24, maxLength: 24 }),
        fc.nat(),
        (availability, seed) => {
          const periods = periodsUntil({ availability, timeZoneHours: 0 }, seed, 100 * hourMs);
          periods.slice(1).forEach((period, index) => {
            expect(period.untilMs).toBeGreaterThan(periods[index]?.untilMs ?? Infinity);
            const lasted = period.untilMs - (periods[index]?.untilMs ?? 0);
            if (lasted < 167 * hourMs) expect(period.connected).not.toBe(periods[index]?.connected);
          });
        },
      ),
      { numRuns: 50 },
    );
  });

  it('is as frequent in an hour as the trace says, by the local clock', () => {
    const night = Array.from({ length: 24 }, (_, hour) => (hour < 12 ? 0.8 : 0.2));
    expect(shareAt(night, 0, 30)).toBeCloseTo(0.8, 1);
    expect(shareAt(night, 0, 42)).toBeCloseTo(0.2, 1);
    expect(shareAt(night, 12, 42)).toBeCloseTo(0.8, 1);
    expect(shareAt(night, -12, 30)).toBeCloseTo(0.2, 1);
  });

  it('ends a period after a week even where nothing changes', () => {
    const always = Array.from({ length: 24 }, () => 1);
    const [first, second] = periodsUntil({ availability: always, timeZoneHours: 0 }, 1, 300 * hourMs);
    expect(first?.connected).toBe(true);
    expect(second?.connected).toBe(true);
    expect(first?.untilMs).toBeLessThanOrEqual(168 * hourMs);
  });

  it('is the same again for the same seed', () => {
    const availability = Array.from({ length: 24 }, () => 0.5);
    const device = { availability, timeZoneHours: 3 };
    expect(periodsUntil(device, 9, 50 * hourMs)).toEqual(periodsUntil(device, 9, 50 * hourMs));
    expect(periodsUntil(device, 9, 50 * hourMs)).not.toEqual(periodsUntil(device, 10, 50 * hourMs));
  });
});
