/** Time as ports: pure code takes `atMs`, shells take a clock and timers. A simulation passes its own. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  nowMs(): number;
}

export interface Timers {
  /** Runs once, `ms` from now at the earliest; answers a cancel, which may be called at any time and any number of times. */
  after(ms: number, run: () => void): () => void;
}
