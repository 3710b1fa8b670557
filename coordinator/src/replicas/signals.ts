/**
 * What replicas call out to each other: hints that something in the database has changed, and what needs no row.
 * A signal may be lost, with the connection that carries it; whoever waits for one also looks by itself from time to time.
 */
export interface Signals {
  /** Agents came or went. */
  readonly presence: { readonly agentIds: readonly string[] };
  /** An agent's site takes no work now. */
  readonly paused: { readonly agentId: string; readonly reason: string };
  /** What an agent said of its pause, empty where it takes work, at a replica that does not hold its stream. */
  readonly pause: { readonly agentId: string; readonly reason: string };
  /** Agents have new instructions. */
  readonly wake: { readonly agentIds: readonly string[] };
  /** A message for the owner of a run. */
  readonly inbox: { readonly runId: string };
  /** A message has its answer. */
  readonly answer: { readonly seq: number };
  /** A run has no owner: take it. */
  readonly runs: Readonly<Record<string, never>>;
  /** A job of a fold is ready or done. */
  readonly folds: { readonly foldId: string };
  /** An event was stored. */
  readonly event: Readonly<Record<string, never>>;
  /** What agents said of their work, and what passed of their bytes, at one replica. */
  readonly activity: {
    readonly replica: string;
    readonly heartbeats: readonly (readonly [agentId: string, heartbeat: unknown])[];
    readonly bytes: readonly (readonly [agentId: string, up: number, down: number])[];
  };
  /** The stream of an agent has to end. */
  readonly disconnect: { readonly agentId: string; readonly code: string; readonly message: string };
}

export type SignalKind = keyof Signals;

export interface SignalLine {
  /** Calls out to every replica, this one too. Never throws: a signal is a hint. */
  send<K extends SignalKind>(kind: K, signal: Signals[K]): void;
  on<K extends SignalKind>(kind: K, listener: (signal: Signals[K]) => void): void;
  /** Called when the line is up again: signals may have been lost. */
  onResume(listener: () => void): void;
  close(): Promise<void>;
}
