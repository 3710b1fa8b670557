/** A database whose queries are timed, by a plugin of kysely: it sees a query before it is compiled and its result. */
import { performance } from 'node:perf_hooks';

import type { Kysely, KyselyPlugin, PluginTransformResultArgs, QueryId, QueryResult, UnknownRow } from 'kysely';

import type { Database } from '../../store/schema.js';
import type { Telemetry } from '../telemetry.js';

/** SelectQueryNode -> select. Other statements are raw SQL. */
const statements: Readonly<Record<string, string>> = {
  SelectQueryNode: 'select',
  InsertQueryNode: 'insert',
  UpdateQueryNode: 'update',
  DeleteQueryNode: 'delete',
};

/** The same database; a query that fails has no time, because kysely tells a plugin of results only. */
export function observedDatabase(db: Kysely<Database>, telemetry: Telemetry): Kysely<Database> {
  const begun = new WeakMap<QueryId, { readonly statement: string; readonly atMs: number }>();
  const plugin: KyselyPlugin = {
    transformQuery: ({ node, queryId }) => {
      begun.set(queryId, { statement: statements[node.kind] ?? 'other', atMs: performance.now() });
      return node;
    },
    transformResult: async ({ queryId, result }: PluginTransformResultArgs): Promise<QueryResult<UnknownRow>> => {
      const query = begun.get(queryId);
      if (query !== undefined) {
        const { statement, atMs } = query;
        telemetry.observe('graft_database_seconds', { statement }, (performance.now() - atMs) / 1000);
      }
      return result;
    },
  };
  return db.withPlugin(plugin);
}
