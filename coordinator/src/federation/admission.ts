/** Who may speak, and whether the two sides understand each other: decided before anything is done for an agent. */
import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import { negotiate, protocolRange, type ProtocolRange } from '@graft/protos/version';

import type { AgentDirectory, KnownAgent } from './agent-directory.js';

/** The agent that a certificate names. Throws AGENT_REVOKED for an unknown or revoked one, AGENT_PENDING for one that waits for approval. */
export async function admitAgent(directory: AgentDirectory, agentId: string): Promise<KnownAgent> {
  const agent = await directory.find(agentId);
  if (agent === undefined) throw new GraftError('AGENT_REVOKED', `agent ${agentId.slice(0, 64)} is not known here`);
  if (agent.state === 'revoked')
    throw new GraftError('AGENT_REVOKED', `agent '${agent.name}' (${agent.id}) has been revoked`);
  if (agent.state === 'pending')
    throw new GraftError('AGENT_PENDING', `agent '${agent.name}' (${agent.id}) waits for approval`);
  return agent;
}

/** The version that both sides speak. Throws PROTOCOL_VERSION with both ranges. */
export function agreeOnProtocol(agent: ProtocolRange): number {
  const negotiation = negotiate(protocolRange, agent);
  if (!negotiation.agreed) throw new GraftError('PROTOCOL_VERSION', negotiation.message);
  return negotiation.version;
}

/** Throws CLOCK_SKEW with both times where they are too far apart. */
export function checkClocks(atMs: number, agentAtMs: number): void {
  const skewMs = Math.abs(atMs - agentAtMs);
  if (skewMs <= limits.clockSkewMs) return;
  throw new GraftError(
    'CLOCK_SKEW',
    `the coordinator's clock says ${isoTime(atMs)}, the agent's ${isoTime(agentAtMs)}: ${Math.round(skewMs / 1000)} s apart, the limit is ${limits.clockSkewMs / 1000} s`,
  );
}

function isoTime(ms: number): string {
  return Number.isFinite(ms) && Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : `${ms} ms`;
}
