/** Runs and rounds, read from what the engine stores. */
import { sql, type Kysely, type Selectable } from 'kysely';

import type { Clock } from '@graft/core/clock';
import { GraftError } from '@graft/core/error';
import { blobRefSchema } from '@graft/models/pipeline/pipeline';

import { quarantinedAgents } from '../rounds/machine/policy/quarantine.js';
import { connectedAgents, isOpen, phases, type Phase, type RunState } from '../rounds/machine/state.js';
import type { StoredRun } from '../rounds/material.js';
import type { Database } from '../store/schema.js';
import type { RoundView, RunView } from './run-view.js';
import type { Runs } from './runs.js';
import { waitingOf, type Expected } from './waiting.js';

export function runsRepository(db: Kysely<Database>, clock: Clock): Runs {
  const runs = () =>
    db
      .selectFrom('runs')
      .innerJoin('tasks', 'tasks.id', 'runs.task_id')
      .select(['runs.id', 'runs.state', 'runs.created_at_ms', 'tasks.name as task_name']);
  const get = async (id: string): Promise<RunView> => {
    const row = await runs().where('runs.id', '=', id).executeTakeFirst();
    if (row === undefined) throw new GraftError('NOT_FOUND', `there is no run ${id}`);
    return runView(row, await expected());
  };
  const expected = async (): Promise<Expected | undefined> => {
    const { count, by_ms } = await db
      .selectFrom('agents')
      .select([sql<number>`count(*)::int`.as('count'), sql<number>`max(expected_at_ms)::float8`.as('by_ms')])
      .where('state', '=', 'active')
      .where('expected_at_ms', '>=', clock.nowMs())
      .executeTakeFirstOrThrow();
    return count === 0 ? undefined : { agents: count, byMs: by_ms };
  };
  return {
    list: async () => {
      const [rows, away] = await Promise.all([
        runs().orderBy('runs.created_at_ms', 'desc').limit(1_000).execute(),
        expected(),
      ]);
      return rows.map((row) => runView(row, away));
    },
    get,
    rounds: async (runId, after) => {
      const rows = await db
        .selectFrom('rounds')
        .selectAll()
        .where('run_id', '=', runId)
        .where('round', '>', after)
        .orderBy('round')
        .execute();
      return rows.map(roundView);
    },
    round: async (runId, round) => {
      const row = await db
        .selectFrom('rounds')
        .selectAll()
        .where('run_id', '=', runId)
        .where('round', '=', round)
        .executeTakeFirst();
      if (row === undefined) throw new GraftError('NOT_FOUND', `run ${(await get(runId)).id} has no round ${round}`);
      return roundView(row);
    },
    checkpoints: async (runId) => {
      const rows = await db
        .selectFrom('checkpoints')
        .selectAll()
        .where('run_id', '=', runId)
        .orderBy('round')
        .execute();
      return rows.map(({ run_id, round, weights, fp16, created_at_ms }) => ({
        runId: run_id,
        round,
        weightsHash: blobRefSchema.parse(weights).hash,
        fp16Hash: blobRefSchema.parse(fp16).hash,
        createdAtMs: created_at_ms,
      }));
    },
  };
}

interface RunRow {
  readonly id: string;
  readonly state: unknown;
  readonly created_at_ms: number;
  readonly task_name: string;
}

function runView(row: RunRow, expected: Expected | undefined): RunView {
  const { machine } = row.state as StoredRun;
  const waiting = waitingOf(machine, expected);
  return {
    id: row.id,
    taskId: machine.plan.taskId,
    taskName: row.task_name,
    status: machine.status,
    reason: machine.reason,
    round: machine.round,
    rounds: machine.plan.rounds,
    phase: machine.phase,
    seed: machine.plan.seed,
    committedRounds: machine.committedRounds,
    createdAtMs: row.created_at_ms,
    updatedAtMs: machine.atMs,
    ...finished(machine),
    attempt: machine.attempt,
    attempts: machine.plan.attempts,
    phaseStartedAtMs: machine.phaseStartedAtMs,
    ...(waiting && { waiting }),
    cohort: machine.plan.cohort,
    connected: connectedAgents(machine).length,
    ...quarantined(machine),
  };
}

function quarantined(machine: RunState): Pick<RunView, 'quarantined'> {
  const shut = quarantinedAgents(machine);
  if (shut.length === 0) return {};
  return {
    quarantined: shut.flatMap((agentId) => {
      const { name = agentId, quarantine } = machine.agents[agentId] ?? {};
      return quarantine === undefined
        ? []
        : [{ agentId, name, reason: quarantine.reason, untilMs: quarantine.untilMs }];
    }),
  };
}

const finished = (machine: RunState): { finishedAtMs?: number } =>
  isOpen(machine) ? {} : { finishedAtMs: machine.atMs };

function roundView(row: Selectable<Database['rounds']>): RoundView {
  return {
    runId: row.run_id,
    round: row.round,
    phase: phaseOf(row.phase),
    startedAtMs: row.started_at_ms,
    ...(row.finished_at_ms !== null && { finishedAtMs: row.finished_at_ms }),
    record: Object(row.record) as Record<string, unknown>,
  };
}

function phaseOf(text: string): Phase {
  const phase = phases.find((one) => one === text);
  if (phase === undefined) throw new GraftError('INTERNAL', `a round is stored in the phase '${text}'`);
  return phase;
}
