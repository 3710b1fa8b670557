/**
 * Opens the database: embedded (PGlite on a durable file system, under a directory lock) or a PostgreSQL server.
 * Both speak through `pg` and kysely's stock dialect, so that one query layer serves both.
 */
import { join } from 'node:path';

import { createPgConfig } from '@electric-sql/pglite/node-postgres';
import { Kysely, PostgresDialect } from 'kysely';
import { Pool, types as pgTypes, type CustomTypesConfig } from 'pg';

import { GraftError } from '@graft/core/error';

import { openDurablePglite } from './durable-node-fs.adapter.js';
import { lockDirectory } from './directory-lock.adapter.js';
import { embeddedServer } from './embedded-server.adapter.js';
import { migrate } from './migrate.repository.js';
import type { Database } from './schema.js';

export type StoreOptions =
  { readonly kind: 'embedded'; readonly directory: string } | ({ readonly kind: 'postgres' } & ServerOptions);

export interface ServerOptions {
  /** With sslmode=verify-full and sslrootcert=FILE for TLS. */
  readonly url: string;
  readonly connections?: number;
  /** What takes longer is ended by the server. */
  readonly statementMs?: number;
  /** A transaction that does nothing for this long has lost its program: its locks are freed. */
  readonly idleTransactionMs?: number;
}

export interface Store {
  readonly kind: StoreOptions['kind'];
  readonly db: Kysely<Database>;
  close(): Promise<void>;
}

/** A query outside the transaction in hand would wait for ever on the one connection that PGlite has; so it fails instead. */
const connectionTimeoutMillis = 10_000;
const defaultConnections = 10;
const defaultStatementMs = 60_000;
const defaultIdleTransactionMs = 60_000;
/** A server that vanished without a word is noticed. */
const keepAliveMs = 10_000;

/** int8 as a number: times and counts here stay far below 2^53. */
const types: CustomTypesConfig = {
  getTypeParser: (id, format) => (id === pgTypes.builtins.INT8 ? Number : pgTypes.getTypeParser(id, format)),
};

/** Throws DIRECTORY_LOCKED where another process owns the directory, DATABASE_UNAVAILABLE where a server cannot be used. */
export async function openStore(options: StoreOptions): Promise<Store> {
  const store = await openUnmigrated(options);
  try {
    await migrate(store.db);
  } catch (error) {
    await store.close();
    throw options.kind === 'postgres' ? serverError(error) : error;
  }
  return store;
}

/** The database as it is, whatever its schema. Throws DIRECTORY_LOCKED. */
export async function openUnmigrated(options: StoreOptions): Promise<Store> {
  const opened = options.kind === 'embedded' ? await openEmbedded(options.directory) : openPostgres(options);
  return { kind: options.kind, ...opened };
}

/** SQLSTATE classes: connection, authorization, catalog name, too many connections, shutdown. */
const unusable = /^(08|28|3D|53300|57P)/u;

/** What Node.js and `pg` say of a server's certificate. */
const untrusted = /SELF_SIGNED|CERT_|UNABLE_TO_(GET|VERIFY)|ERR_TLS|SSL/u;

/** What keeps a client out of a server becomes DATABASE_UNAVAILABLE; other errors pass as they are. */
function serverError(error: unknown): unknown {
  // One of several addresses stands for all.
  const cause: unknown = error instanceof AggregateError ? error.errors[0] : error;
  const { code, syscall, message } = Object(cause) as { code?: unknown; syscall?: unknown; message?: unknown };
  if (untrusted.test(`${String(code)} ${String(message)}`)) {
    const hint = 'TLS is set in the URL of --db: ?sslmode=verify-full&sslrootcert=FILE';
    return new GraftError('DATABASE_UNAVAILABLE', `the PostgreSQL server: ${String(message)}; ${hint}`, { cause });
  }
  const isTimeout = message === 'timeout exceeded when trying to connect';
  if (typeof syscall !== 'string' && !unusable.test(String(code)) && !isTimeout) return error;
  return new GraftError('DATABASE_UNAVAILABLE', `the PostgreSQL server: ${String(message)}`, { cause });
}

function openPostgres({ url, connections, statementMs, idleTransactionMs }: ServerOptions): Omit<Store, 'kind'> {
  const pool = new Pool({
    connectionString: url,
    max: connections ?? defaultConnections,
    connectionTimeoutMillis,
    statement_timeout: statementMs ?? defaultStatementMs,
    idle_in_transaction_session_timeout: idleTransactionMs ?? defaultIdleTransactionMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveMs,
    application_name: 'graft',
    types,
  });
  // A connection that breaks while idle is replaced; without a listener it would end the process.
  pool.on('error', () => undefined);
  // The same while it is lent out, between two queries: the next query on it fails with the cause.
  pool.on('connect', (client) => client.on('error', () => undefined));
  const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) });
  return { db, close: () => db.destroy() };
}

async function openEmbedded(directory: string): Promise<Omit<Store, 'kind'>> {
  const lock = await lockDirectory(directory);
  try {
    const server = await embeddedServer(() => openDurablePglite(join(directory, 'database')));
    const config = Object.assign(createPgConfig(server.pglite), {
      max: 1,
      idleTimeoutMillis: 0,
      connectionTimeoutMillis,
      types,
    });
    const pool = new Pool(config);
    const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) });
    return {
      db,
      close: async () => {
        await db.destroy();
        await server.close();
        await lock.release();
      },
    };
  } catch (error) {
    await lock.release();
    throw error;
  }
}
