/** Which replicas live, and which of them holds an agent's instruction stream. A port; the database's clock decides who lives. */
export interface Presence {
  /**
   * This replica lives for another lease. True where it was not known any more (it was away for long, or is new): then the
   * streams that it holds have to be told again.
   */
  renew(options: { readonly draining: boolean }): Promise<boolean>;
  /** This replica holds an agent's stream now; answers the number of the stream. */
  opened(agentId: string): Promise<number>;
  /** Tells of streams that are open here, where no later one of the same agent is known. */
  holds(streams: readonly { readonly agentId: string; readonly session: number }[]): Promise<void>;
  /** The stream of this number has ended; false where a later one has taken its place. */
  closed(agentId: string, session: number): Promise<boolean>;
  /** Agents with a stream at a living replica, sorted; of these agents only, where some are named. */
  connected(among?: readonly string[]): Promise<readonly string[]>;
  /** Agents with a stream here who have instructions that are not settled. */
  instructed(): Promise<readonly string[]>;
  /** Removes this replica and its streams: it stops. */
  leave(): Promise<void>;
  /** Replicas that live and take runs. */
  taking(): Promise<number>;
}
