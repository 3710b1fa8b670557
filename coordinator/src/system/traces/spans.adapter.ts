/** Spans by OpenTelemetry, sent in batches to an OTLP receiver over HTTP. Loaded only where traces are switched on. */
import { ROOT_CONTEXT, SpanStatusCode, trace, TraceFlags, type Context } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  RandomIdGenerator,
  TracerProvider,
  type IdGenerator,
  type SpanExporter,
} from '@opentelemetry/sdk-trace';

import type { Log } from '../../server/log.js';
import type { Span, SpanOptions, Telemetry } from '../telemetry.js';
import { formatTraceparent, parseTraceparent, type TraceContext } from './trace-context.js';

export interface Spans {
  readonly span: Telemetry['span'];
  /** Sends what is not sent yet, as long as `exportTimeoutMs` at most. */
  close(): Promise<void>;
}

export interface SpansOptions {
  /** Such as http://host:4318; a path stands for OTLP's own, /v1/traces. */
  readonly url: string;
  readonly service: { readonly name: string; readonly version: string; readonly instance: string };
  readonly log: Log;
  readonly dropped: (spans: number) => void;
  /** How long spans wait for others that go with them. */
  readonly batchMs?: number;
}

const exportTimeoutMs = 5_000;
/** Spans that wait while the receiver is away; more are dropped. */
const queueSize = 4_096;

export function openSpans(options: SpansOptions): Spans {
  const { service } = options;
  const ids = chosenIds();
  const exporter = counted(
    new OTLPTraceExporter({ url: receiverUrl(options.url), timeoutMillis: exportTimeoutMs }),
    options,
  );
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': service.name,
      'service.version': service.version,
      'service.instance.id': service.instance,
    }),
    idGenerator: ids,
    spanProcessors: [
      new BatchSpanProcessor({
        exporter,
        maxQueueSize: queueSize,
        scheduledDelayMillis: options.batchMs ?? 2_000,
        exportTimeoutMillis: exportTimeoutMs,
      }),
    ],
  });
  const tracer = provider.getTracer('graft', service.version);
  return {
    span: (name, { parent, attributes, startMs, traceparent }: SpanOptions = {}) => {
      const own = traceparent === undefined ? undefined : parseTraceparent(traceparent);
      const started = ids.with(own, () =>
        tracer.startSpan(
          name,
          { ...(attributes && { attributes }), ...(startMs !== undefined && { startTime: new Date(startMs) }) },
          contextOf(typeof parent === 'object' ? parent.traceparent : parent),
        ),
      );
      return spanOf(started);
    },
    close: async () => {
      try {
        await provider.shutdown();
      } catch (error) {
        options.log.debug({ err: error }, 'the last traces could not be sent');
      }
    },
  };
}

type Started = ReturnType<ReturnType<TracerProvider['getTracer']>['startSpan']>;

function spanOf(started: Started): Span {
  const { traceId, spanId, traceFlags } = started.spanContext();
  return {
    traceparent: formatTraceparent({ traceId, spanId, isSampled: (traceFlags & TraceFlags.SAMPLED) !== 0 }),
    set: (attributes) => void started.setAttributes(attributes),
    end: (error, endMs) => {
      if (error !== undefined) {
        const message = error instanceof Error ? error.message : 'failed';
        started.setStatus({ code: SpanStatusCode.ERROR, message });
      }
      started.end(endMs === undefined ? undefined : new Date(endMs));
    },
  };
}

function contextOf(parent: string | undefined): Context {
  const known = parent === undefined ? undefined : parseTraceparent(parent);
  if (known === undefined) return ROOT_CONTEXT;
  const { traceId, spanId, isSampled } = known;
  const traceFlags = isSampled ? TraceFlags.SAMPLED : TraceFlags.NONE;
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true });
}

function receiverUrl(url: string): string {
  const { pathname } = new URL(url);
  return pathname === '/' || pathname === '' ? new URL('/v1/traces', url).href : url;
}

/** Random ids, but for a span whose ids are known before. */
function chosenIds(): IdGenerator & { with<T>(own: TraceContext | undefined, start: () => T): T } {
  const random = new RandomIdGenerator();
  let chosen: TraceContext | undefined;
  return {
    generateTraceId: () => chosen?.traceId ?? random.generateTraceId(),
    generateSpanId: () => chosen?.spanId ?? random.generateSpanId(),
    with: (own, start) => {
      chosen = own;
      try {
        return start();
      } finally {
        chosen = undefined;
      }
    },
  };
}

/** Tells of spans that no receiver took; a receiver that stays away is logged once. */
function counted(exporter: SpanExporter, { log, dropped, url }: SpansOptions): SpanExporter {
  let isAway = false;
  return {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        const failed = result.error !== undefined;
        if (failed) dropped(spans.length);
        if (failed && !isAway) log.warn({ err: result.error, url, spans: spans.length }, 'traces could not be sent');
        if (!failed && isAway) log.info({ url }, 'traces are sent again');
        isAway = failed;
        done(result);
      }),
    shutdown: async () => exporter.shutdown(),
    forceFlush: async () => exporter.forceFlush?.(),
  };
}
