/** What a selection knows of an agent that may be asked. */
export interface Candidate {
  readonly id: string;
  /** The last round that it was asked in; absent where it never was. */
  readonly chosenInRound?: number;
  /** What its last accepted update said; absent where there was none. */
  readonly answer?: {
    /** The round whose fold took it. */
    readonly round: number;
    readonly exampleCount: number;
    /** Mean loss of its training examples. */
    readonly loss: number;
    /** From plan to update, milliseconds. */
    readonly tookMs: number;
  };
}
