/** Prometheus metrics, collected when they are asked for; counts of rounds and updates come from the store, so that a restart keeps them. */
import { monitorEventLoopDelay } from 'node:perf_hooks';

import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';

import type { Metrics } from './system.js';

export interface Counts {
  readonly runs: Readonly<Record<string, number>>;
  readonly rounds: Readonly<Record<string, number>>;
  /** By reason; '' is accepted. */
  readonly updates: Readonly<Record<string, number>>;
}

export interface MetricsPorts {
  counts(): Promise<Counts>;
  connectedAgents(): number;
  transferred(): { readonly up: number; readonly down: number };
  readonly eventLoop: EventLoopDelay;
}

export interface EventLoopDelay {
  p99Ms(): number;
  maxMs(): number;
  close(): void;
}

/** How often the event loop is looked at; the histogram counts this time too, so it is taken off. */
const resolutionMs = 10;

export function eventLoopDelay(): EventLoopDelay {
  const histogram = monitorEventLoopDelay({ resolution: resolutionMs });
  histogram.enable();
  const lateMs = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - resolutionMs);
  return {
    p99Ms: () => (histogram.count === 0 ? 0 : lateMs(histogram.percentile(99))),
    maxMs: () => (histogram.count === 0 ? 0 : lateMs(histogram.max)),
    close: () => histogram.disable(),
  };
}

export function createMetrics(ports: MetricsPorts): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, prefix: 'graft_' });
  const byLabel = (name: string, help: string, label: string): Gauge =>
    new Gauge({ name, help, labelNames: [label], registers });
  const runs = byLabel('graft_runs', 'Runs by status', 'status');
  const rounds = byLabel('graft_rounds', 'Rounds by phase; committed and abandoned are over', 'phase');
  const updates = byLabel('graft_updates', 'Updates decided on, by reason; accepted where there is none', 'reason');
  const connected = new Gauge({
    name: 'graft_connected_agents',
    help: 'Agents with an open instruction stream',
    registers,
  });
  const delay = new Gauge({
    name: 'graft_event_loop_delay_p99_seconds',
    help: 'Lateness of the event loop since the start',
    registers,
  });
  const bytes = new Counter({
    name: 'graft_transferred_bytes',
    help: 'Bytes of blobs between agents and coordinator',
    labelNames: ['direction'],
    registers,
  });
  const collect = async (): Promise<void> => {
    const counts = await ports.counts();
    for (const [gauge, values] of [
      [runs, counts.runs],
      [rounds, counts.rounds],
    ] as const) {
      gauge.reset();
      for (const [value, count] of Object.entries(values)) gauge.labels(value).set(count);
    }
    updates.reset();
    for (const [reason, count] of Object.entries(counts.updates))
      updates.labels(reason === '' ? 'accepted' : reason).set(count);
    connected.set(ports.connectedAgents());
    delay.set(ports.eventLoop.p99Ms() / 1000);
    const { up, down } = ports.transferred();
    bytes.reset();
    bytes.labels('up').inc(up);
    bytes.labels('down').inc(down);
  };
  return {
    contentType: registry.contentType,
    text: async () => {
      await collect();
      return registry.metrics();
    },
  };
}
