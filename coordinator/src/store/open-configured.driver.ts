/** The store that the configuration names; its directory is this process's alone, wherever the database is. */
import type { Config } from '../config/config.js';
import { lockDirectory } from './directory-lock.adapter.js';
import { openStore, type Store, type StoreOptions } from './open-store.driver.js';

export type DatabaseConfig = Pick<Config, 'db' | 'dbConnections' | 'dbStatementSeconds' | 'leaseMs'>;

export function storeOptions(directory: string, config: DatabaseConfig): StoreOptions {
  if (config.db === undefined) return { kind: 'embedded', directory };
  const { db: url, dbConnections: connections, dbStatementSeconds, leaseMs } = config;
  // A replica that stands still in a transaction must not hold a run longer than its lease.
  const idleTransactionMs = Math.ceil(leaseMs * 0.75);
  return { kind: 'postgres', url, connections, statementMs: dbStatementSeconds * 1_000, idleTransactionMs };
}

/** Throws DIRECTORY_LOCKED where another process owns the directory, DATABASE_UNAVAILABLE where a server cannot be used. */
export async function openConfiguredStore(directory: string, config: DatabaseConfig): Promise<Store> {
  const options = storeOptions(directory, config);
  if (options.kind === 'embedded') return openStore(options);
  const lock = await lockDirectory(directory);
  try {
    const store = await openStore(options);
    return {
      ...store,
      close: async () => {
        await store.close();
        await lock.release();
      },
    };
  } catch (error) {
    await lock.release();
    throw error;
  }
}
