/** Bytes of blobs that went to and from each agent since the coordinator started. Counted at the edge, as they pass. */
export interface Transferred {
  readonly up: number;
  readonly down: number;
}

export interface TransferMeter {
  countUp(agentId: string, bytes: number): void;
  countDown(agentId: string, bytes: number): void;
  /** Sums since the start; a copy. */
  byAgent(): ReadonlyMap<string, Transferred>;
  total(): Transferred;
}

export function transferMeter(): TransferMeter {
  const agents = new Map<string, { up: number; down: number }>();
  const total = { up: 0, down: 0 };
  const of = (agentId: string): { up: number; down: number } => {
    const known = agents.get(agentId);
    if (known !== undefined) return known;
    const fresh = { up: 0, down: 0 };
    agents.set(agentId, fresh);
    return fresh;
  };
  return {
    countUp: (agentId, bytes) => {
      of(agentId).up += bytes;
      total.up += bytes;
    },
    countDown: (agentId, bytes) => {
      of(agentId).down += bytes;
      total.down += bytes;
    },
    byAgent: () => new Map([...agents].map(([id, bytes]) => [id, { ...bytes }])),
    total: () => ({ ...total }),
  };
}
