/**
 * The real repository over the embedded database in this process, in memory. The database's clock is the simulation's: a
 * function `clock_timestamp` of a schema that is searched first answers it. One database serves all simulations of a process.
 */
import { PGlite } from '@electric-sql/pglite';
import { createPgConfig } from '@electric-sql/pglite/node-postgres';
import { Kysely, PostgresDialect, sql } from 'kysely';
import { Pool, types as pgTypes, type CustomTypesConfig } from 'pg';

import { coordinatorIdentity } from '../../../coordinator/src/compute/sealing.contract.js';
import { letBack, standingQuarantines } from '../../../coordinator/src/agents/agent-quarantines.repository.js';
import { unsettledInstructions } from '../../../coordinator/src/federation/instructions.repository.js';
import { engineStore } from '../../../coordinator/src/rounds/engine-store.repository.js';
import type { OutboxEffect } from '../../../coordinator/src/rounds/machine/effect.js';
import type { RoundRecord } from '../../../coordinator/src/rounds/machine/record.js';
import type { StoredRun } from '../../../coordinator/src/rounds/material.js';
import type { MemoryContents } from '../../../coordinator/src/rounds/memory-engine-store.contract.js';
import { migrate } from '../../../coordinator/src/store/migrate.repository.js';
import type { Database } from '../../../coordinator/src/store/schema.js';
import { masterKey } from '../world/tasks.js';
import type { Contents, SimulatedStore } from './simulated-store.js';

const types: CustomTypesConfig = {
  getTypeParser: (id, format) => (id === pgTypes.builtins.INT8 ? Number : pgTypes.getTypeParser(id, format)),
};

let opened: Promise<Kysely<Database>> | undefined;

async function open(): Promise<Kysely<Database>> {
  const config = createPgConfig(await PGlite.create());
  const pool = new Pool(Object.assign(config, { max: 1, idleTimeoutMillis: 0, types }));
  const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) });
  await migrate(db);
  await sql`create schema simulation`.execute(db);
  await sql`create function simulation.clock_timestamp() returns timestamptz language sql volatile
    as $$ select to_timestamp(current_setting('simulation.now_ms')::float8 / 1000) $$`.execute(db);
  await sql`set search_path = simulation, pg_catalog, public`.execute(db);
  return db;
}

const tables = [
  'quarantines',
  'outbox',
  'updates',
  'checkpoints',
  'rounds',
  'releases',
  'instructions',
  'events',
  'runs',
  'tasks',
  'models',
  'agents',
];

export async function databaseStore(contents: MemoryContents, nowMs: () => number): Promise<SimulatedStore> {
  const db = await (opened ??= open());
  await sql.raw(`truncate ${tables.map((table) => `public.${table}`).join()} restart identity cascade`).execute(db);
  await fill(db, contents);
  const clock = { nowMs };
  const tick = async (): Promise<void> =>
    void (await sql`select set_config('simulation.now_ms', ${String(nowMs())}, false)`.execute(db));
  return {
    as: (owner) => {
      const store = engineStore(db, { owner, identity: coordinatorIdentity, masterKey, clock });
      const unsettled = unsettledInstructions(db);
      return {
        ...store,
        create: async (run) => {
          await tick();
          return store.create(run);
        },
        claimAll: async () => {
          await tick();
          return store.claimAll();
        },
        renew: async (leases) => {
          await tick();
          return store.renew(leases);
        },
        unsettled,
      };
    },
    contents: async () => read(db),
    release: async (agentId, atMs) => {
      const [standing] = (await standingQuarantines(db, [agentId], atMs)).get(agentId) ?? [];
      if (standing === undefined) return false;
      await letBack(db, { id: agentId, name: agentId }, { task: undefined, by: 'simulation', atMs });
      return true;
    },
    close: async () => undefined,
  };
}

async function fill(db: Kysely<Database>, { tasks, models, signingKeys }: MemoryContents): Promise<void> {
  const json = JSON.stringify;
  const unused = json({ hash: '0'.repeat(64), sizeBytes: 0 });
  for (const [id, spec] of Object.entries(tasks)) {
    const row = { id, name: spec.name, kind: spec.kind, spec: json(spec), layout_hash: '', parameter_count: 0 };
    await db
      .insertInto('tasks')
      .values({ ...row, weights: unused, fp16: unused, created_at_ms: 0 })
      .execute();
  }
  for (const [name, { card, graph, weights }] of Object.entries(models ?? {})) {
    const row = { id: name, name, card: json(card), graph: json(graph), weights: json(weights), created_at_ms: 0 };
    await db.insertInto('models').values(row).execute();
  }
  for (const [id, key] of Object.entries(signingKeys)) {
    const row = { id, name: id, state: 'active', certificate: '', created_at_ms: 0 };
    const keys = { signing_key: Buffer.from(key), agreement_key: Buffer.from(key) };
    await db
      .insertInto('agents')
      .values({ ...row, ...keys })
      .execute();
  }
}

async function read(db: Kysely<Database>): Promise<Contents> {
  const runs = await db.selectFrom('runs').select(['id', 'state']).orderBy('created_at_ms').orderBy('id').execute();
  const outbox = await db.selectFrom('outbox').select(['run_id', 'effect', 'done_at_ms']).orderBy('seq').execute();
  const checkpoints = await db
    .selectFrom('checkpoints')
    .select(['run_id', 'round', 'weights'])
    .orderBy('round')
    .execute();
  const releases = await db.selectFrom('releases').select(['run_id', 'id']).orderBy('id').execute();
  const rounds = await db.selectFrom('rounds').select(['run_id', 'round', 'record']).orderBy('round').execute();
  const updates = await db.selectFrom('updates').select(['run_id', 'round', 'agent_id', 'nonce', 'accepted']).execute();
  const unsettled = db
    .selectFrom('instructions')
    .select(['run_id', 'agent_id', 'kind'])
    .where('settled_at_ms', 'is', null);
  return {
    runs: runs.map(({ id, state }) => ({ runId: id, run: state as StoredRun })),
    outbox: outbox.map((row) => ({
      runId: row.run_id,
      effect: row.effect as OutboxEffect,
      done: row.done_at_ms !== null,
    })),
    checkpoints: checkpoints.map(({ run_id: runId, round, weights }) => ({
      runId,
      round,
      weights: (weights as { hash: string }).hash,
    })),
    releases: releases.map(({ run_id: runId, id }) => ({ runId, id })),
    records: rounds.map(({ run_id: runId, round, record }) => ({ runId, round, record: record as RoundRecord })),
    updates: updates.map(({ run_id: runId, agent_id: agentId, ...row }) => ({ runId, agentId, ...row })),
    unsettled: (await unsettled.execute()).map(({ run_id: runId, agent_id: agentId, kind }) => ({
      runId,
      agentId,
      kind,
    })),
  };
}
