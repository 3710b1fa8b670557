/** The engine's store over the database: every step of a run is one transaction. */
import type { Kysely, Transaction } from 'kysely';
import { sql } from 'kysely';
import { monotonicFactory } from 'ulid';

import type { Clock } from '@graft/core/clock';
import { GraftError } from '@graft/core/error';
import { modelCardSchema } from '@graft/models/pipeline/model-card';
import { blobRefSchema } from '@graft/models/pipeline/pipeline';
import { taskSpecSchema } from '@graft/models/pipeline/task-spec';
import type { SigningKey } from '@graft/protos/identity/keys';
import { signRelease } from '@graft/protos/identity/signatures.adapter';

import { databaseNow, databaseNowPlus } from '../replicas/database-clock.js';
import { writeAnswer } from '../replicas/inbox.repository.js';
import type { notifyStep } from '../replicas/notify.repository.js';
import type { Database } from '../store/schema.js';
import { inTransaction } from '../store/transaction.js';
import { agentTraits } from './agent-traits.repository.js';
import type { EngineStore, Lease, OwnedRun, ReportedUpdate } from './engine-store.js';
import type { OutboxEffect } from './machine/effect.js';
import { isOpen } from './machine/state.js';
import type { StoredRun } from './material.js';
import { measuresOf } from './released-measures.js';
import { newRoundKey, publicRoundKey } from './round-keys.adapter.js';
import { writeSteps } from './step.repository.js';
import { groupRows } from './step-group.js';
import type { RowSources } from './step-rows.js';

export interface EngineStoreOptions {
  /** Who takes leases; the same after a restart, so that a coordinator takes its own runs back at once. */
  readonly owner: string;
  readonly identity: SigningKey;
  readonly masterKey: Uint8Array;
  readonly clock: Clock;
  /** How long a lease is good without being renewed; half a minute where it is not given. */
  readonly leaseMs?: number;
  /** Tells other replicas what a step has changed for them, within its transaction; absent where there are none. */
  readonly announce?: typeof notifyStep;
}

const defaultLeaseMs = 30_000;

export function engineStore(db: Kysely<Database>, options: EngineStoreOptions): EngineStore {
  const { owner, clock, announce } = options;
  const leaseEnd = databaseNowPlus(options.leaseMs ?? defaultLeaseMs);
  const sources = rowSources(options);
  return {
    ...library(db),
    ...reports(db, clock, announce),
    create: async (run) => {
      const { runId, taskId } = run.machine.plan;
      await db
        .insertInto('runs')
        .values({
          id: runId,
          task_id: taskId,
          open: true,
          state: JSON.stringify(run),
          version: 1,
          lease_owner: owner,
          lease_expires_at_ms: leaseEnd,
          fence: 1,
          created_at_ms: clock.nowMs(),
        })
        .execute();
      return { runId, fence: 1 };
    },
    claimAll: async () => {
      await settleCancels(db, clock.nowMs());
      const claimed = await db
        .updateTable('runs')
        .set({ lease_owner: owner, lease_expires_at_ms: leaseEnd, fence: sql<number>`fence + 1` })
        .where('open', '=', true)
        .where((is) =>
          is.or([
            is('lease_owner', 'is', null),
            is('lease_owner', '=', owner),
            is('lease_expires_at_ms', '<', databaseNow),
          ]),
        )
        .returning(['id', 'state', 'fence'])
        .execute();
      return claimed.map(({ id, state, fence }): OwnedRun => ({
        run: state as StoredRun,
        lease: { runId: id, fence },
      }));
    },
    renew: async (leases) => {
      const lost: Lease[] = [];
      for (const lease of leases) {
        const renewed = await db
          .updateTable('runs')
          .set({ lease_expires_at_ms: leaseEnd })
          .where('id', '=', lease.runId)
          .where('fence', '=', lease.fence)
          .executeTakeFirst();
        if (renewed.numUpdatedRows === 0n) lost.push(lease);
      }
      return lost;
    },
    giveBack: async (leases) => {
      for (const { runId, fence } of leases) {
        await db
          .updateTable('runs')
          .set({ lease_owner: null, lease_expires_at_ms: null })
          .where('id', '=', runId)
          .where('fence', '=', fence)
          .execute();
      }
    },
    save: async (lease, before, steps) => {
      const group = groupRows(before, steps, sources);
      const run = group.at(-1)?.rows.run ?? before;
      const wake = group.flatMap(({ rows }) => rows.instructions.map(({ agentId }) => agentId));
      const events = group.reduce((sum, { rows }) => sum + rows.events.length, 0);
      const outbox = await inTransaction(db, async (transaction) => {
        await writeState(transaction, lease, run);
        const added = await writeSteps(transaction, group);
        for (const { result, context } of steps) {
          const { verdict } = result;
          if (context.inboxSeq !== undefined)
            await writeAnswer(transaction, context.inboxSeq, { ...(verdict && { verdict }) });
        }
        await announce?.(transaction, { wake, events });
        return added;
      });
      return { run, outbox, wake };
    },
    load: async ({ runId, fence }) => {
      const row = await db
        .selectFrom('runs')
        .select('state')
        .where('id', '=', runId)
        .where('fence', '=', fence)
        .executeTakeFirst();
      if (row === undefined) throw leaseLost({ runId, fence });
      return row.state as StoredRun;
    },
    undone: async (runId) => {
      const rows = await db
        .selectFrom('outbox')
        .select(['seq', 'effect'])
        .where('run_id', '=', runId)
        .where('done_at_ms', 'is', null)
        .orderBy('seq')
        .execute();
      return rows.map(({ seq, effect }) => ({ seq, effect: effect as OutboxEffect }));
    },
    runIs: async (runId) => {
      const row = await db.selectFrom('runs').select('open').where('id', '=', runId).executeTakeFirst();
      return row && (row.open ? 'open' : 'over');
    },
  };
}

function rowSources({ identity, masterKey, clock }: EngineStoreOptions): RowSources {
  // Instructions of one millisecond are sent in the order of their ids.
  const nextId = monotonicFactory();
  return {
    newId: () => nextId(clock.nowMs()),
    newRoundKey: (of) => newRoundKey(of, identity, masterKey),
    publicRoundKey,
    signRelease: (manifest) => signRelease(identity, manifest),
  };
}

/** Throws LEASE_LOST where another process owns the run. */
async function writeState(transaction: Transaction<Database>, { runId, fence }: Lease, run: StoredRun): Promise<void> {
  const written = await transaction
    .updateTable('runs')
    .set({ state: JSON.stringify(run), open: isOpen(run.machine), version: sql<number>`version + 1` })
    .where('id', '=', runId)
    .where('fence', '=', fence)
    .executeTakeFirst();
  if (written.numUpdatedRows === 1n) return;
  throw leaseLost({ runId, fence });
}

function leaseLost({ runId, fence }: Lease): GraftError {
  return new GraftError('LEASE_LOST', `run ${runId} has another owner than fence ${fence}`);
}

/** A cancel that an agent never fetched is of no use once its run is over. */
async function settleCancels(db: Kysely<Database>, atMs: number): Promise<void> {
  await db
    .updateTable('instructions')
    .set({ settled_at_ms: atMs })
    .where('kind', '=', 'cancel')
    .where('settled_at_ms', 'is', null)
    .where('run_id', 'in', (from) => from.selectFrom('runs').select('id').where('open', '=', false))
    .execute();
}

/** What runs are made from. */
function library(db: Kysely<Database>): Pick<EngineStore, 'task' | 'model' | 'signingKey' | 'traits' | 'lastRelease'> {
  return {
    task: async (taskId) => {
      const row = await db.selectFrom('tasks').select('spec').where('id', '=', taskId).executeTakeFirst();
      return row && taskSpecSchema.parse(row.spec);
    },
    model: async (name) => {
      const row = await db
        .selectFrom('models')
        .select(['card', 'graph', 'weights'])
        .where('name', '=', name)
        .executeTakeFirst();
      return (
        row && {
          card: modelCardSchema.parse(row.card),
          graph: blobRefSchema.parse(row.graph),
          weights: blobRefSchema.parse(row.weights),
        }
      );
    },
    signingKey: async (agentId) =>
      (await db.selectFrom('agents').select('signing_key').where('id', '=', agentId).executeTakeFirst())?.signing_key,
    traits: (agentIds) => agentTraits(db, agentIds),
    lastRelease: async (taskId) => {
      const row = await db
        .selectFrom('releases')
        .select(['id', 'precision', 'measures'])
        .where('task_id', '=', taskId)
        .orderBy('created_at_ms', 'desc')
        .limit(1)
        .executeTakeFirst();
      return row && measuresOf(row);
    },
  };
}

/** What agents reported, and were asked. */
function reports(
  db: Kysely<Database>,
  clock: Clock,
  announce: EngineStoreOptions['announce'],
): Pick<EngineStore, 'updates' | 'wasAccepted' | 'instruction' | 'settleInstall'> {
  return {
    updates: async (runId, round, nonces) => {
      if (nonces.length === 0) return [];
      const rows = await db
        .selectFrom('updates')
        .selectAll()
        .where('run_id', '=', runId)
        .where('round', '=', round)
        .where('accepted', '=', true)
        .where('nonce', 'in', [...nonces])
        .orderBy(sql`agent_id collate "C"`)
        .execute();
      return rows.map((row): { readonly agentId: string } & ReportedUpdate => ({
        agentId: row.agent_id,
        nonce: row.nonce,
        manifest: row.manifest,
        ciphertext: blobRefSchema.parse(row.ciphertext),
        exampleCount: row.example_count,
      }));
    },
    wasAccepted: async ({ runId, round, agentId, nonce }) => {
      const row = await db
        .selectFrom('updates')
        .select('nonce')
        .where('run_id', '=', runId)
        .where('round', '=', round)
        .where('agent_id', '=', agentId)
        .where('nonce', '=', nonce)
        .where('accepted', '=', true)
        .executeTakeFirst();
      return row !== undefined;
    },
    instruction: (id, agentId) =>
      db
        .selectFrom('instructions')
        .select('kind')
        .where('id', '=', id)
        .where('agent_id', '=', agentId)
        .executeTakeFirst(),
    settleInstall: (id, agentId, { failed }) =>
      inTransaction(db, async (transaction) => {
        const settled = await transaction
          .updateTable('instructions')
          .set({ settled_at_ms: clock.nowMs() })
          .where('id', '=', id)
          .where('agent_id', '=', agentId)
          .where('settled_at_ms', 'is', null)
          .returning('run_id')
          .executeTakeFirst();
        if (settled === undefined) return;
        await transaction
          .insertInto('events')
          .values({
            at_ms: clock.nowMs(),
            kind: failed === undefined ? 'release-installed' : 'release-not-installed',
            run_id: settled.run_id,
            data: JSON.stringify({ agentId, ...(failed !== undefined && { reason: failed }) }),
          })
          .execute();
        await announce?.(transaction, { wake: [], events: 1 });
      }),
  };
}
