/** Sessions kept for the next time: loading a training graph takes longer than many of its steps, and every round loads the same one. */
import type { Model } from '../graph/graph.js';
import type { Runtime, Session, SessionOptions } from './runtime.js';

export interface CachedSessionsOptions {
  /** Sessions that are kept while nobody uses them; those longest unused go first. */
  readonly limit: number;
  /** Equal for models of equal graph, shapes and weights: the hash of their bytes. */
  readonly keyOf: (model: Model) => string;
}

export interface CachedRuntime extends Runtime {
  /** Disposes all that nobody uses. */
  clear(): Promise<void>;
}

interface Entry {
  readonly session: Promise<Session>;
  users: number;
}

/**
 * A runtime whose sessions stay loaded: `dispose` gives one back, and `load` of an equal model with equal options takes it again.
 * A model is loaded once for all who ask at the same time. One that does not load is not kept.
 */
export function cachedSessions(runtime: Runtime, { limit, keyOf }: CachedSessionsOptions): CachedRuntime {
  /** In order of their last use. */
  const entries = new Map<string, Entry>();

  const evict = async (kept: number): Promise<void> => {
    const idle = [...entries].filter(([, { users }]) => users === 0);
    const gone = idle.slice(0, Math.max(0, idle.length - kept));
    for (const [key] of gone) entries.delete(key);
    for (const [, { session }] of gone) await (await session).dispose();
  };

  const taken = (key: string, load: () => Promise<Session>): Entry => {
    const entry = entries.get(key) ?? { session: load(), users: 0 };
    entry.users += 1;
    entries.delete(key);
    entries.set(key, entry);
    return entry;
  };

  return {
    name: runtime.name,
    load: async (model: Model, options: SessionOptions): Promise<Session> => {
      const key = JSON.stringify([keyOf(model), options]);
      const entry = taken(key, () => runtime.load(model, options));
      let session: Session;
      try {
        session = await entry.session;
      } catch (error) {
        if (entries.get(key) === entry) entries.delete(key);
        throw error;
      }
      let open = true;
      return {
        ...session,
        dispose: async (): Promise<void> => {
          if (!open) return;
          open = false;
          entry.users -= 1;
          await evict(limit);
        },
      };
    },
    clear: () => evict(0),
  };
}
