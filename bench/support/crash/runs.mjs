/**
 * Runs of one task with one seed, and what is to be said of each: every round committed once, with the weights of the undisturbed run,
 * which are for probes the arithmetic of those whose updates the record says were taken.
 */
import { until } from '../federation.mjs';
import { sites, weights } from './single.mjs';

const add = 0.25;
const probe = { kind: 'probe', parameters: 100_000, add };
const windowMs = 120_000;

/** Every round needs all three: one that is closed with fewer would not have the weights of the undisturbed run. */
const cohort = { min: sites.length, goal: sites.length, max: sites.length };

const isOver = (run) => run !== undefined && run.status !== 'running' && run.status !== 'waiting';

async function bytesOf({ place }, hash) {
  const { apiUrl, key } = place();
  const response = await fetch(`${apiUrl}/api/v1/blobs/${hash}`, { headers: { authorization: `Bearer ${key}` } });
  if (!response.ok) throw new Error(`blob ${hash}: ${response.status}`);
  return Buffer.from(await response.arrayBuffer());
}

/** The one tensor of a probe's checkpoint. */
async function probeWeights(world, hash) {
  const file = await bytesOf(world, hash);
  const start = 8 + Number(file.readBigUInt64LE(0));
  return new Float32Array(Uint8Array.from(file.subarray(start)).buffer);
}

/** A connection that broke says nothing of whether the run was started: then it is looked for, and else started again. */
async function startRun({ call }, { taskId, rounds, known }) {
  return until(
    'a new run',
    async () => {
      const started = await call('POST', '/runs', { taskId, seed: 1, rounds });
      if (started !== undefined) return started.id;
      const runs = await until('the runs', () => call('GET', '/runs'), { timeoutMs: 120_000 });
      return runs.find((run) => run.taskId === taskId && !known.has(run.id))?.id;
    },
    { timeoutMs: 180_000 },
  );
}

/** Opens a task in a world; `runOnce(disturb)` makes a run of it and answers what became of it. */
export async function openRuns(world, { rounds }) {
  const spec = { ...(world.task ?? probe), name: 'crash', rounds, cohort, windowMs };
  const { id: taskId } = await world.call('POST', '/tasks', spec);
  const names = new Map((await world.call('GET', '/agents')).map(({ id, name }) => [id, name]));
  const known = new Set();
  const get = (path) => until(path, () => world.call('GET', path), { timeoutMs: 120_000 });

  const untilOver = async () => {
    const id = await startRun(world, { taskId, rounds, known });
    known.add(id);
    const ended = async () => {
      const run = await world.call('GET', `/runs/${id}`);
      return isOver(run) && run;
    };
    return until(`the end of run ${id}`, ended, { timeoutMs: 300_000, everyMs: 50 });
  };

  const runOnce = async (disturb) => {
    const progress = { over: false };
    const over = () => {
      progress.over = true;
    };
    const [{ id, status, reason }] = await Promise.all([untilOver().finally(over), disturb?.(progress)]);
    const [all, checkpoints] = [await get(`/runs/${id}/rounds`), await get(`/runs/${id}/checkpoints`)];
    return { id, status, reason, rounds: all, checkpoints };
  };

  /** Rounds whose weights are not base + add * (the mean of those that were taken), over all rounds until then. */
  const wrongSums = async ({ rounds: all, checkpoints }) => {
    const first = checkpoints[0];
    if (world.task !== undefined || first === undefined) return 0;
    const base = await probeWeights(world, first.weightsHash);
    let [expected, wrong] = [0, 0];
    for (const { round, weightsHash } of checkpoints.slice(1)) {
      const { record } = all.find((each) => each.round === round && each.phase === 'committed');
      const taken = Object.entries(record.agents).filter(([, { state }]) => state === 'accepted');
      const sum = taken.reduce((total, [id]) => total + weights[names.get(id)], 0);
      expected += (add * sum) / taken.length;
      const found = await probeWeights(world, weightsHash);
      if (!found.every((value, index) => Math.abs(value - base[index] - expected) < 1e-3)) wrong += 1;
    }
    return wrong;
  };
  return { runOnce, wrongSums };
}

/** What the run lost, doubled, or has otherwise than the undisturbed one. */
export function compare({ rounds, checkpoints }, expected, wanted) {
  const committed = rounds.filter(({ phase }) => phase === 'committed');
  const distinct = new Set(committed.map(({ round }) => round)).size;
  const weightsOf = (all) => all.map(({ round, weightsHash }) => `${round}:${weightsHash}`).join();
  return {
    committed: distinct,
    lost: wanted - distinct,
    doubled: committed.length - distinct,
    weightsEqual: weightsOf(checkpoints) === weightsOf(expected.checkpoints),
    longestMs: Math.max(0, ...committed.map(({ startedAtMs, finishedAtMs }) => finishedAtMs - startedAtMs)),
  };
}
