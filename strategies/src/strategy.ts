/**
 * A federated algorithm as data and four functions. State is plain and serializable;
 * the file of an algorithm reads like its paper, top to bottom.
 */
export interface Update {
  /** trained - base, in layout order. A whole vector, or the part of it that starts at `offset`. */
  readonly delta: Float32Array;
  /** First element of this part in the vector. */
  readonly offset: number;
  /** Examples it was trained on, at least 1. */
  readonly exampleCount: number;
  /** How much of its share it counts, in (0, 1], less where it is stale; 1 where absent. */
  readonly weight?: number;
}

export interface Strategy<Accumulator, Report> {
  readonly name: string;
  /** An empty sum for a layout of `length` parameters. */
  init(length: number): Accumulator;
  /** Adds one update, in place. Every part of every update is passed exactly once. */
  accumulate(sum: Accumulator, update: Update): void;
  /** What the aggregation did, for people and for the ledger. */
  report(sum: Accumulator): Report;
  /** The next weights, written over `weights`. */
  apply(weights: Float32Array, sum: Accumulator): void;
}
