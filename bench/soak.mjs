/**
 * A long run of rounds with real processes: what grows with the rounds, and by how much each. Three agents, a small probe, the
 * durable store, retention on with short times, so that it has work to do within the run: a sweep is asked for every few rounds.
 * Slopes are least squares over the samples after the warm-up. What a round leaves for good is its rows of history.
 */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { gunzipSync } from 'node:zlib';

import { decodeSafetensors } from '@graft/models/formats/safetensors';

import { openFederation } from './support/federation.mjs';
import { folderSize, handlesOf, residentBytes, slope } from './support/growth.mjs';
import { cpuSeconds, machine, peakBytes, treeOf } from './support/processes.mjs';

const agentCount = 3;
const parameters = 20_000;
/** A sum of it over two thousand rounds is exact in fp32 and in fp16. */
const add = 1 / 1024;
/** What is kept, and how long: seconds instead of the days that are usual. */
const keep = { checkpoints: 10, updateRounds: 2, seconds: 6 };
/** Tables whose rows are history, and stay: a row a round, a report or a commit. */
const history = ['rounds', 'updates', 'audit'];
/** What a round may add, after the warm-up: resident bytes, and bytes of the store for its history. */
const limits = { residentBytesPerRound: 20_000, storeBytesPerRound: 20_000 };

const coordinatorArgs = (db) =>
  [
    ['--keep-checkpoints', String(keep.checkpoints), '--keep-update-rounds', String(keep.updateRounds)],
    ['--keep-events-days', String(keep.seconds / 86_400), '--keep-settled-minutes', String(keep.seconds / 60)],
    ['--blob-grace-minutes', String(keep.seconds / 60), '--sweep-minutes', '0'],
    db === undefined ? [] : ['--db', db],
  ].flat();

/** Rows by table, at one moment, from a backup: it needs no second door to the database. */
async function rowsByTable(federation, name) {
  const { folder } = await federation.call('POST', '/backups', { name });
  const rows = {};
  let table;
  for (const line of gunzipSync(readFileSync(join(folder, 'rows.jsonl.gz')))
    .toString()
    .trim()
    .split('\n')
    .slice(1)) {
    const found = /^\{"table":"(\w+)"\}$/.exec(line);
    if (found === null) rows[table] += 1;
    else rows[(table = found[1])] = 0;
  }
  return rows;
}

/** Everything that may grow, now. */
function sample(federation, round) {
  const { home, directory, coordinator, agents } = federation;
  const [database, blobs] = [folderSize(join(home, 'database')), folderSize(join(home, 'blobs'))];
  const sites = agents.map((_, index) => folderSize(join(directory, `site-${index + 1}`)).bytes);
  return {
    round,
    coordinatorBytes: residentBytes(coordinator.pid),
    agentBytes: treeOf(agents.map(({ pid }) => pid)).reduce((sum, pid) => sum + residentBytes(pid), 0) / agentCount,
    databaseBytes: database.bytes,
    blobBytes: blobs.bytes,
    blobs: blobs.files,
    logBytes: statSync(join(directory, 'coordinator.log')).size,
    siteBytes: sites.reduce((sum, bytes) => sum + bytes, 0) / agentCount,
    handles: handlesOf(coordinator.pid),
  };
}

/** Rounds that are missing, that are there twice, and checkpoints that do not hold what so many rounds add up to. */
async function verify(federation, runId, rounds) {
  const stored = (await federation.call('GET', `/runs/${runId}/rounds`)).filter(({ phase }) => phase === 'committed');
  const committed = new Set(stored.map(({ round }) => round));
  let wrongSums = 0;
  const checkpoints = await federation.call('GET', `/runs/${runId}/checkpoints`);
  for (const { round, weightsHash } of checkpoints) {
    const file = join(federation.home, 'blobs', weightsHash.slice(0, 2), weightsHash);
    const { weights } = decodeSafetensors(readFileSync(file));
    if (![...weights.values()].every(({ data }) => data.every((value) => value === round * add))) wrongSums += 1;
  }
  return {
    lost: rounds - committed.size,
    doubled: stored.length - committed.size,
    wrongSums,
    checkpointsChecked: checkpoints.length,
  };
}

/** Samples and sweeps every `every` rounds, until the run is over. */
async function follow(federation, runId, { every, warmUp, log }) {
  const samples = [];
  let rowsBefore;
  for (let next = every; ;) {
    const run = await federation.call('GET', `/runs/${runId}`);
    const done = run.status === 'completed' ? run.rounds : run.round - 1;
    if (done >= next || run.status === 'completed') {
      const swept = await federation.call('POST', '/sweeps', {});
      samples.push(sample(federation, done));
      if (rowsBefore === undefined && done >= warmUp) {
        rowsBefore = { round: done, rows: await rowsByTable(federation, 'before') };
      }
      if (log) console.error(JSON.stringify({ ...samples.at(-1), swept }));
      next = done - (done % every) + every;
    }
    if (run.status === 'completed') return { samples, rowsBefore };
    if (run.status !== 'running' && run.status !== 'waiting') {
      throw new Error(`the run ended as ${run.status}: ${run.reason}`);
    }
    await sleep(100);
  }
}

async function measure({ rounds, db, log }) {
  const federation = await openFederation('soak', { coordinatorArgs: coordinatorArgs(db) });
  try {
    for (let index = 0; index < agentCount; index++) await federation.addAgent(`site-${index + 1}`);
    await federation.untilConnected(agentCount);
    const cohort = { min: agentCount, goal: agentCount, max: agentCount };
    const spec = { name: 'soak', kind: 'probe', parameters, add, rounds, cohort, windowMs: 60_000 };
    const task = await federation.call('POST', '/tasks', spec);
    const { pid } = federation.coordinator;
    const before = { cpu: cpuSeconds([pid]), at: performance.now() };
    const { id } = await federation.call('POST', '/runs', { taskId: task.id, seed: 1, rounds });
    const warmUp = Math.ceil(rounds / 5);
    const every = Math.max(5, Math.round(rounds / 50));
    const { samples, rowsBefore } = await follow(federation, id, { every, warmUp, log });
    const wallSeconds = (performance.now() - before.at) / 1000;
    const cpu = cpuSeconds([pid]) - before.cpu;
    // What the last rounds left grows old; then the last sweep shows what stays.
    await sleep(keep.seconds * 1000 + 1000);
    await federation.call('POST', '/sweeps', {});
    await federation.call('POST', '/sweeps', {});
    const end = { ...sample(federation, rounds), rows: await rowsByTable(federation, 'after') };
    const steady = samples.filter(({ round }) => round >= warmUp);
    const perRound = (name) => slope(steady.map((one) => [one.round, one[name]]));
    const nearest = (round) => samples.toSorted((a, b) => Math.abs(a.round - round) - Math.abs(b.round - round))[0];
    const system = await federation.call('GET', '/system');
    const checked = await verify(federation, id, rounds);
    const span = rounds - rowsBefore.round;
    const rowsPerRound = Object.fromEntries(
      Object.entries(end.rows).map(([table, count]) => [table, (count - (rowsBefore.rows[table] ?? 0)) / span]),
    );
    const grows = Object.entries(rowsPerRound).filter(([table, count]) => count > 0.05 && !history.includes(table));
    const slopes = {
      coordinatorBytes: perRound('coordinatorBytes'),
      agentBytes: perRound('agentBytes'),
      databaseBytes: perRound('databaseBytes'),
      blobBytes: perRound('blobBytes'),
      blobs: perRound('blobs'),
      logBytes: perRound('logBytes'),
      siteBytes: perRound('siteBytes'),
      handles: perRound('handles'),
    };
    return {
      bench: 'soak',
      store: db === undefined ? 'embedded' : 'postgres',
      rounds,
      agents: agentCount,
      parameters,
      wallSecondsPerRound: wallSeconds / rounds,
      coordinatorCpuSecondsPerRound: cpu / rounds,
      ...checked,
      coordinatorBytesAt: Object.fromEntries(
        [0.1, 0.5, 1].map((part) => [nearest(rounds * part).round, nearest(rounds * part).coordinatorBytes]),
      ),
      coordinatorPeakBytes: peakBytes(pid),
      perRound: slopes,
      end,
      rowsPerRound,
      eventLoopDelayP99Ms: system.eventLoopDelayP99Ms,
      eventLoopDelayMaxMs: system.eventLoopDelayMaxMs,
      growing: grows.map(([table]) => table),
      limits,
      withinLimits:
        checked.lost + checked.doubled + checked.wrongSums === 0 &&
        slopes.coordinatorBytes < limits.residentBytesPerRound &&
        slopes.agentBytes < limits.residentBytesPerRound &&
        slopes.databaseBytes < limits.storeBytesPerRound &&
        Math.abs(slopes.blobs) < 0.1 &&
        grows.length === 0,
      machine: machine(),
    };
  } finally {
    await federation.close();
  }
}

export async function run(args) {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: 'string', default: '500' },
      postgres: { type: 'string' },
      verbose: { type: 'boolean', default: false },
    },
  });
  const rounds = Number(values.rounds);
  console.log(JSON.stringify(await measure({ rounds, db: values.postgres, log: values.verbose })));
}
