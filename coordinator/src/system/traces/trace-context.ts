/** W3C Trace Context: the text that names a span to others (w3.org/TR/trace-context, section 3.2). */

export interface TraceContext {
  /** 16 bytes, hex. */
  readonly traceId: string;
  /** 8 bytes, hex. */
  readonly spanId: string;
  readonly isSampled: boolean;
}

const form = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/u;

/** Undefined for what is no traceparent of version 00: then a trace begins anew, as the standard asks. */
export function parseTraceparent(text: string): TraceContext | undefined {
  const [, traceId, spanId, flags] = form.exec(text) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  return { traceId, spanId, isSampled: Number.parseInt(flags, 16) % 2 === 1 };
}

export function formatTraceparent({ traceId, spanId, isSampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-${isSampled ? '01' : '00'}`;
}
