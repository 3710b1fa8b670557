/** When agents that are sent away together come back: one after the other, for each new connection costs a TLS handshake. */

/** Milliseconds of a coordinator's processor that a handshake with client certificates and a stream may take. */
const handshakeMs = 4;

export interface ComeBack {
  /** The first comes back after this, milliseconds. */
  readonly afterMs: number;
  /** Which of how many. */
  readonly index: number;
  readonly count: number;
}

/** Milliseconds after which this agent comes back: evenly spread over the time that all handshakes take. */
export function drainAfterMs({ afterMs, index, count }: ComeBack): number {
  return Math.round(afterMs + Math.min(index, count) * handshakeMs);
}
