import type { Device } from '../devices/device.js';
import { hourMs } from '../devices/presence.js';
import { eventQueue } from '../event-queue.js';
import { Fleet, type Happening, type Job } from './fleet.js';

const hours = (value: number): number[] => Array.from({ length: 24 }, () => value);

const device = (changes: Partial<Device> = {}): Device => ({
  timeZoneHours: 0,
  examplesPerSecond: 10,
  downBytesPerSecond: 1000,
  upBytesPerSecond: 500,
  dropOut: 0,
  availability: hours(1),
  exampleCount: 20,
  ...changes,
});

const training: Job = {
  kind: 'train',
  id: 'i',
  round: 1,
  training: { answer: Promise.reject(new Error('nobody asks')), withdraw: () => undefined },
};
training.training.answer.catch(() => undefined);

/** Two seconds to fetch, two to compute, two to send. */
const effort = { downBytes: 2000, examples: 20, upBytes: 1000 };

function fleetOf(one: Device, seed = 1) {
  const queue = eventQueue<Happening>();
  const fleet = new Fleet([one], seed, queue);
  const told: { atMs: number; kind: Happening['kind']; connected: boolean; job: boolean }[] = [];
  const run = (untilMs: number): typeof told => {
    while (queue.nextMs() <= untilMs) {
      const { atMs = 0, value } = queue.take() ?? {};
      if (value === undefined) break;
      const job = fleet.happen(value, atMs) !== undefined;
      told.push({ atMs, kind: value.kind, connected: fleet.isConnected(0), job });
    }
    return told;
  };
  return { fleet, run };
}

describe('a simulated agent', () => {
  it('fetches, computes and sends one after another', () => {
    const { fleet, run } = fleetOf(device());
    fleet.give(0, { job: training, effort }, 1000);
    expect(fleet.dueMs(0, effort, 1000)).toBe(7000);
    expect(fleet.busyIds()).toEqual(['agent-1']);
    expect(run(10_000)).toEqual([
      { atMs: 3000, kind: 'begun', connected: true, job: true },
      { atMs: 7000, kind: 'finished', connected: true, job: true },
    ]);
    expect(fleet.inHand(0)).toBeUndefined();
  });

  it('does nothing more with work that was taken from it', () => {
    const { fleet, run } = fleetOf(device());
    fleet.give(0, { job: training, effort }, 0);
    fleet.take(0);
    expect(run(10_000).filter(({ job }) => job)).toEqual([]);
  });

  it('lets its work rest while the device is away, and finishes it as much later', () => {
    const changing = device({ availability: hours(0.5), exampleCount: 20 });
    const { fleet, run } = fleetOf(changing, 4);
    // A hundred hours of work on a device that is there half of the time.
    fleet.give(0, { job: training, effort: { ...effort, examples: 100 * 3600 * 10 } }, 0);
    const told = run(2000 * hourMs);
    const finished = told.find(({ kind, job }) => kind === 'finished' && job);
    expect(finished?.connected).toBe(true);
    expect(finished?.atMs).toBeGreaterThan(130 * hourMs);
    // Time with the device, up to the end, is the work.
    let present = 0;
    let sinceMs = 0;
    let connected = fleetOf(changing, 4).fleet.isConnected(0);
    for (const one of told.filter(({ kind, atMs }) => kind === 'presence' && atMs <= (finished?.atMs ?? 0))) {
      if (connected) present += one.atMs - sinceMs;
      [sinceMs, connected] = [one.atMs, one.connected];
    }
    present += (finished?.atMs ?? 0) - sinceMs;
    expect(present).toBeCloseTo(100 * hourMs + 4000, -1);
  });

  it('that drops out loses its connection, comes back and begins again', () => {
    const { fleet, run } = fleetOf(device({ dropOut: 0.999 }));
    fleet.give(0, { job: training, effort }, 0);
    const told = run(hourMs).filter(({ kind }) => kind !== 'begun');
    expect(told.map(({ kind, connected, job }) => ({ kind, connected, job }))).toEqual([
      { kind: 'dropped', connected: false, job: false },
      { kind: 'returned', connected: true, job: false },
      { kind: 'finished', connected: true, job: true },
    ]);
    const [dropped, returned, finished] = told;
    expect(dropped?.atMs).toBeLessThan(6000);
    expect((finished?.atMs ?? 0) - (returned?.atMs ?? 0)).toBe(6000);
  });

  it('fetches a checkpoint once', () => {
    const { fleet } = fleetOf(device());
    const blob = { hash: 'a', sizeBytes: 7 };
    expect([fleet.fetch(0, blob), fleet.fetch(0, blob), fleet.fetch(0, { ...blob, hash: 'b' })]).toEqual([7, 0, 7]);
  });
});
