/** What the doors need to know of agents; the store implements it. */
import type { Capabilities } from '@graft/protos/messages';

export type AgentState = 'pending' | 'active' | 'revoked';

export interface KnownAgent {
  readonly id: string;
  readonly name: string;
  readonly state: AgentState;
}

export interface AgentDirectory {
  find(agentId: string): Promise<KnownAgent | undefined>;
  /** Notes when an agent was last heard of, and what it said of itself. */
  seen(
    agentId: string,
    said: {
      readonly atMs: number;
      readonly version?: string;
      readonly capabilities?: Capabilities;
      /** When it comes back, where it left because it was not needed. */
      readonly expectedAtMs?: number | undefined;
    },
  ): Promise<void>;
}
