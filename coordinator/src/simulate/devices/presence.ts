/**
 * When a device is connected. Every hour, at a minute of its own, it draws anew with `renewal`, else it stays as it is drawn:
 * it is connected where what it drew lies below the availability of the local hour. So each hour's share of connected devices
 * is what the trace says, and sessions last for hours.
 */
import { random, seedFrom } from '@graft/core/random';

import { hoursOfDay, type Device } from './device.js';

export interface Period {
  readonly connected: boolean;
  /** When the period ends, virtual milliseconds since the start. */
  readonly untilMs: number;
}

export const hourMs = 3_600_000;

/** Chance that an hour draws anew. */
const renewal = 0.4;

/** A period is cut after so many hours, so that a device that is never there does not search for ever. */
const longestHours = 7 * hoursOfDay;

/** The periods of a device from time zero, alternating but for those that are cut; without end. Time zero is midnight UTC. */
export function* presenceOf(
  device: Pick<Device, 'availability' | 'timeZoneHours'>,
  seed: number,
): Generator<Period, never> {
  const chance = random(seedFrom('presence', seed));
  const minuteMs = chance.next() * hourMs;
  let drawn = chance.next();
  const isConnected = (hour: number): boolean => {
    const local = (((hour + device.timeZoneHours) % hoursOfDay) + hoursOfDay) % hoursOfDay;
    return drawn < (device.availability[Math.floor(local)] ?? 0);
  };
  let connected = isConnected(0);
  let begun = 0;
  for (let hour = 1; ; hour++) {
    if (chance.next() < renewal) drawn = chance.next();
    const next = isConnected(hour);
    if (next === connected && hour - begun < longestHours) continue;
    yield { connected, untilMs: (hour - 1) * hourMs + minuteMs };
    connected = next;
    begun = hour;
  }
}
