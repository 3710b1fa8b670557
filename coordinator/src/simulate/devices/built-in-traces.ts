/**
 * Built-in traces: devices drawn from a seed. Their shape is that of published fleets, their parameters are the tables below;
 * they are not measurements of anybody's fleet.
 *
 * phones      speed and bandwidth are log-normal, so that the slow tail is long (FedScale, ICML 2022, figure 2: an order of
 *             magnitude and more between devices); connected while idle, on power and on an unmetered network, which is four
 *             times as frequent at night as by day, and 6 to 10 % of the work is lost (Bonawitz and others, "Towards Federated
 *             Learning at Scale: System Design", MLSys 2019, section 9).
 * hospitals   servers: nearly always there but for a window of maintenance at night, much alike, with more data.
 */
import { random, type Random, seedFrom } from '@graft/core/random';

import { hoursOfDay, type Device } from './device.js';

/** exp(ln(median) + sigma z), z standard normal, kept in [least, most]. */
interface LogNormal {
  readonly median: number;
  readonly sigma: number;
  readonly least: number;
  readonly most: number;
}

interface Fleet {
  readonly examplesPerSecond: LogNormal;
  readonly downBytesPerSecond: LogNormal;
  readonly upBytesPerSecond: LogNormal;
  readonly exampleCount: LogNormal;
  /** Uniform in [from, to). */
  readonly dropOut: readonly [number, number];
  readonly timeZones: readonly number[];
  readonly availability: readonly number[];
}

/** 0.24 at three in the morning, 0.06 at three in the afternoon. */
const idleAtNight = Array.from(
  { length: hoursOfDay },
  (_, hour) => 0.06 + 0.09 * (1 + Math.cos((2 * Math.PI * (hour - 3)) / hoursOfDay)),
);

/** Maintenance from two to four. */
const maintainedAtNight = Array.from({ length: hoursOfDay }, (_, hour) => (hour === 2 || hour === 3 ? 0.85 : 0.99));

const fleets = {
  phones: {
    examplesPerSecond: { median: 20, sigma: 0.9, least: 1, most: 400 },
    downBytesPerSecond: { median: 2e6, sigma: 1, least: 5e4, most: 5e7 },
    upBytesPerSecond: { median: 7e5, sigma: 1, least: 2e4, most: 2e7 },
    exampleCount: { median: 40, sigma: 0.8, least: 8, most: 400 },
    dropOut: [0.06, 0.1],
    timeZones: [-5, 1, 8],
    availability: idleAtNight,
  },
  hospitals: {
    examplesPerSecond: { median: 400, sigma: 0.4, least: 50, most: 4000 },
    downBytesPerSecond: { median: 1.2e7, sigma: 0.4, least: 1e6, most: 1e8 },
    upBytesPerSecond: { median: 6e6, sigma: 0.4, least: 5e5, most: 1e8 },
    exampleCount: { median: 300, sigma: 0.6, least: 50, most: 2000 },
    dropOut: [0.005, 0.015],
    timeZones: [0, 1, 2],
    availability: maintainedAtNight,
  },
} as const satisfies Record<string, Fleet>;

export type BuiltInTrace = keyof typeof fleets;

export const builtInTraces = Object.keys(fleets) as BuiltInTrace[];

/** So many devices of a fleet; device i is the same whatever the count. */
export function builtInDevices(trace: BuiltInTrace, count: number, seed: number): Device[] {
  const fleet: Fleet = fleets[trace];
  return Array.from({ length: count }, (_, index) => {
    const chance = random(seedFrom('device', trace, seed, index));
    const [from, to] = fleet.dropOut;
    return {
      timeZoneHours: fleet.timeZones[chance.below(fleet.timeZones.length)] ?? 0,
      examplesPerSecond: draw(fleet.examplesPerSecond, chance),
      downBytesPerSecond: draw(fleet.downBytesPerSecond, chance),
      upBytesPerSecond: draw(fleet.upBytesPerSecond, chance),
      dropOut: from + (to - from) * chance.next(),
      availability: [...fleet.availability],
      exampleCount: Math.round(draw(fleet.exampleCount, chance)),
    };
  });
}

function draw({ median, sigma, least, most }: LogNormal, { normal }: Random): number {
  return Math.min(most, Math.max(least, median * Math.exp(sigma * normal())));
}
