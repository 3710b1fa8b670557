/** Examples a second of late, and how long the rest will take; time that was spent waiting does not count. */

/** Weight of what is older falls to 1/e within this time, milliseconds. */
const memoryMs = 10_000;

export class Throughput {
  private examples = 0;
  private ms = 0;
  private lastMs: number;

  constructor(startedAtMs: number) {
    this.lastMs = startedAtMs;
  }

  /** Work that was done since the last call. */
  add(examples: number, nowMs: number): void {
    const elapsedMs = nowMs - this.lastMs;
    const kept = Math.exp(-elapsedMs / memoryMs);
    this.examples = this.examples * kept + examples;
    this.ms = this.ms * kept + elapsedMs;
    this.lastMs = nowMs;
  }

  /** Time since the last call that was a pause. */
  skip(nowMs: number): void {
    this.lastMs = nowMs;
  }

  /** Undefined before anything was measured. */
  examplesPerSecond(): number | undefined {
    return this.ms > 0 ? (1000 * this.examples) / this.ms : undefined;
  }

  remainingMs(examplesLeft: number): number | undefined {
    const rate = this.examplesPerSecond();
    return rate === undefined || rate === 0 ? undefined : (1000 * examplesLeft) / rate;
  }
}
