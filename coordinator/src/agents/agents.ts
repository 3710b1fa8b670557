/** Agents as operators deal with them. */
import type { AgentView } from './agent-view.js';

export interface Agents {
  list(): Promise<readonly AgentView[]>;
  /** Those with one of the ids, by name. */
  some(ids: readonly string[]): Promise<readonly AgentView[]>;
  /** By id or name; NOT_FOUND where there is none. */
  get(idOrName: string): Promise<AgentView>;
  /** Lets a waiting agent take part. Throws AGENT_REVOKED for one that was revoked. */
  approve(idOrName: string, by: string): Promise<AgentView>;
  /** Replaces the operator's tags of an agent; runs that wait for one of them go on. */
  tag(idOrName: string, tags: readonly string[], by: string): Promise<AgentView>;
  /** Ends an agent's quarantine for one task, by id or name, or for all; NOT_FOUND where there is none. Its runs are told. */
  letBack(idOrName: string, task: string | undefined, by: string): Promise<AgentView>;
  /** Shuts an agent out, ends its stream at once, and tells the engine. */
  revoke(idOrName: string, by: string): Promise<AgentView>;
}
