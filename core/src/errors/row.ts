/** One row of the error catalogue: what a code means at each boundary. */
export interface ErrorRow {
  /** Stable public number; ranges: 1 coordinator, 2 agent, 3 model, 4 data, 5 privacy. */
  readonly number: `GRAFT-${number}`;
  readonly grpc:
    | 'INVALID_ARGUMENT'
    | 'FAILED_PRECONDITION'
    | 'NOT_FOUND'
    | 'ALREADY_EXISTS'
    | 'PERMISSION_DENIED'
    | 'UNAUTHENTICATED'
    | 'RESOURCE_EXHAUSTED'
    | 'UNAVAILABLE'
    | 'DEADLINE_EXCEEDED'
    | 'ABORTED'
    | 'OUT_OF_RANGE'
    | 'DATA_LOSS'
    | 'UNIMPLEMENTED'
    | 'INTERNAL';
  readonly http: number;
  readonly retryable: boolean;
  /** Exit code of a command: 1 failed, 2 cannot connect or not allowed, 3 time-out, 4 bad arguments or preflight, 5 our bug. */
  readonly exit: 1 | 2 | 3 | 4 | 5;
  /** What happened, in a few words. */
  readonly title: string;
  /** What the reader can do about it; names the command where there is one. */
  readonly fix: string;
}
