/** Telemetry as the coordinator was started with: metrics always, traces where they are asked for. */
import { hostname } from 'node:os';

import { prometheus } from '../system/prometheus.adapter.js';
import type { Metrics } from '../system/system.js';
import { silentSpan, type Telemetry } from '../system/telemetry.js';
import type { Log } from './log.js';
import { version } from './version.js';

export interface TelemetryOptions {
  /** Agents that have metrics of their own; 0 for none. */
  readonly metricsAgents: number;
  /** otlp=http://host:4318 */
  readonly traces?: string | undefined;
}

export interface OpenTelemetry {
  readonly telemetry: Telemetry;
  readonly metrics: Metrics;
  /** Sends what is not sent yet. */
  readonly close: () => Promise<void>;
}

const silence = { span: () => silentSpan, close: async () => undefined };

export async function openTelemetry({ metricsAgents, traces }: TelemetryOptions, log: Log): Promise<OpenTelemetry> {
  const metrics = prometheus({ agentLimit: metricsAgents, log });
  const spans = traces === undefined ? silence : await openTraces(traces, metrics.meters, log);
  return { telemetry: { ...metrics.meters, span: spans.span }, metrics, close: async () => spans.close() };
}

/** OpenTelemetry is loaded here and nowhere else: without the switch it costs no memory. */
async function openTraces(
  traces: string,
  meters: Pick<Telemetry, 'add'>,
  log: Log,
): Promise<Pick<Telemetry, 'span'> & { close(): Promise<void> }> {
  const { openSpans } = await import('../system/traces/spans.adapter.js');
  return openSpans({
    url: traces.replace(/^otlp=/u, ''),
    service: { name: 'graft-coordinator', version, instance: hostname() },
    log,
    dropped: (spans) => meters.add('graft_spans_dropped_total', {}, spans),
  });
}
