/** Who is connected where: the streams of this replica are written down, those of all are read, and the owners here are told. */
import type { LocalRuns } from '../rounds/elsewhere.js';
import type { Presence } from './presence.js';

export interface Watch {
  /** An agent's stream has opened here. */
  opened(agentId: string): Promise<void>;
  /** It has closed. */
  closed(agentId: string): Promise<void>;
  /** Reads who is connected and tells the owners. @param among of these agents only, where some are named */
  look(among?: readonly string[]): Promise<void>;
  /** This replica lives on; where it had been forgotten, its streams are written down again. */
  renew(draining: boolean): Promise<void>;
  /** Agents connected anywhere, as seen last. */
  readonly known: ReadonlySet<string>;
}

export function watch(presence: Presence, local: () => LocalRuns | undefined): Watch {
  const sessions = new Map<string, number>();
  const known = new Set<string>();
  const turns = new Map<string, Promise<void>>();
  let looking: Promise<void> = Promise.resolve();

  /** What happens to one agent's stream here, one after another. */
  async function inTurn(agentId: string, work: () => Promise<void>): Promise<void> {
    const mine = after(turns.get(agentId), work);
    turns.set(agentId, mine);
    try {
      await mine;
    } finally {
      if (turns.get(agentId) === mine) turns.delete(agentId);
    }
  }

  /** One look after another: an older one must not have the last word. */
  function look(among?: readonly string[]): Promise<void> {
    const mine = after(looking, async () => {
      const connected = new Set(await presence.connected(among));
      for (const agentId of among ?? [...known]) known.delete(agentId);
      for (const agentId of connected) known.add(agentId);
      await local()?.present(connected, among);
    });
    looking = mine;
    return mine;
  }

  return {
    known,
    look,
    opened: (agentId) =>
      inTurn(agentId, async () => {
        sessions.set(agentId, await presence.opened(agentId));
        await look([agentId]);
      }),
    closed: (agentId) =>
      inTurn(agentId, async () => {
        const session = sessions.get(agentId);
        sessions.delete(agentId);
        if (session !== undefined && (await presence.closed(agentId, session))) await look([agentId]);
      }),
    renew: async (draining) => {
      if (!(await presence.renew({ draining }))) return;
      await presence.holds([...sessions].map(([agentId, session]) => ({ agentId, session })));
    },
  };
}

/** Does the work once what was begun before has ended, well or not. */
async function after(before: Promise<void> | undefined, work: () => Promise<void>): Promise<void> {
  await before?.catch(() => undefined);
  await work();
}
