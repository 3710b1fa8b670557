/**
 * What the coordinator measures of itself: counters, gauges, histograms and spans. A port of plain functions; the metrics are rows of
 * metric-catalogue.ts. metrics.adapter.ts gives them to Prometheus, traces.adapter.ts to OpenTelemetry; silentTelemetry measures nothing.
 * No call throws, waits or does I/O.
 */
import type { CounterName, GaugeName, HistogramName, LabelsOf } from './metric-catalogue.js';

export type Attributes = Readonly<Record<string, string | number | boolean>>;

export interface SpanOptions {
  /** The span that this is a part of: another span, or a W3C traceparent from outside. A root where it is absent. */
  readonly parent?: Span | string;
  readonly attributes?: Attributes;
  /** Milliseconds since the Unix epoch; now where it is absent. */
  readonly startMs?: number;
  /** A span that is made only at its end may have been named before: its own W3C traceparent. */
  readonly traceparent?: string;
}

/** Something that took time. */
export interface Span {
  /** W3C Trace Context, to be carried to others; empty where traces are off. */
  readonly traceparent: string;
  set(attributes: Attributes): void;
  /** @param error what it failed with; @param endMs milliseconds since the Unix epoch, now where it is absent */
  end(error?: unknown, endMs?: number): void;
}

export interface Meters {
  /** Adds to a counter, 1 where no amount is given. */
  add<Name extends CounterName>(name: Name, labels: LabelsOf<Name>, amount?: number): void;
  set<Name extends GaugeName>(name: Name, labels: LabelsOf<Name>, value: number): void;
  /** Adds to a gauge, or takes from it. */
  move<Name extends GaugeName>(name: Name, labels: LabelsOf<Name>, by: number): void;
  /** Notes one value in a histogram, in the metric's unit. */
  observe<Name extends HistogramName>(name: Name, labels: LabelsOf<Name>, value: number): void;
  /** Forgets all series of a gauge: before its values are set anew. */
  clear(name: GaugeName): void;
}

export interface Telemetry extends Meters {
  /** `read` is called before metrics are shown, to set what is only worth reading then. One that fails is logged and leaves its gauges as they were. */
  onCollect(read: () => Promise<void> | void): void;
  span(name: string, options?: SpanOptions): Span;
}

const nothing = (): void => undefined;

export const silentSpan: Span = { traceparent: '', set: nothing, end: nothing };

export const silentTelemetry: Telemetry = {
  add: nothing,
  set: nothing,
  move: nothing,
  observe: nothing,
  clear: nothing,
  onCollect: nothing,
  span: () => silentSpan,
};
