/** Time as a port: pure code takes `atMs`, shells take a clock. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  nowMs(): number;
}
