/**
 * Versions of the protocol. Within a version, messages grow only by fields and kinds that an older reader may ignore;
 * whatever changes the meaning of what exists takes the next number.
 */

/** Versions that a program speaks, inclusive. */
export interface ProtocolRange {
  readonly min: number;
  readonly max: number;
}

/** What this code speaks. */
export const protocolRange: ProtocolRange = { min: 1, max: 1 };

export type Negotiation =
  { readonly agreed: true; readonly version: number } | { readonly agreed: false; readonly message: string };

/**
 * The highest version that both sides speak, or a refusal that names both ranges and the side to upgrade.
 * @param agent the range that an agent sent; not trusted
 */
export function negotiate(coordinator: ProtocolRange, agent: ProtocolRange): Negotiation {
  const ranges = `the coordinator speaks protocol ${show(coordinator)}, the agent ${show(agent)}`;
  if (!isRange(agent)) return { agreed: false, message: `${ranges}, which is no range` };
  const version = Math.min(coordinator.max, agent.max);
  if (version >= coordinator.min && version >= agent.min) return { agreed: true, version };
  return { agreed: false, message: `${ranges}: upgrade the ${agent.max < coordinator.min ? 'agent' : 'coordinator'}` };
}

function isRange({ min, max }: ProtocolRange): boolean {
  return Number.isSafeInteger(min) && Number.isSafeInteger(max) && min >= 1 && min <= max;
}

function show({ min, max }: ProtocolRange): string {
  return min === max ? String(min) : `${min} to ${max}`;
}
