/**
 * `kill -9`, again and again, of each kind of process that a federation has: at random moments of its runs, or at the n-th store call or
 * the n-th message of a run, for every n. The same task first runs undisturbed. Rounds lost and committed twice are counted, and
 * weights that are not the sum of the updates that were taken; the weights of every round are compared bit for bit.
 */
import { parseArgs } from 'node:util';

import { atCall, atRandom, countCalls, randomFrom } from './support/crash/deaths.mjs';
import { compare, openRuns } from './support/crash/runs.mjs';
import { worlds } from './support/crash/worlds.mjs';
import { machine } from './support/processes.mjs';

/** What can be killed at a call of its own, beside random moments. */
const kinds = { coordinator: ['store', 'transport'], agent: ['transport'] };
/** Longest pause between two kills at random, milliseconds. */
const longestMs = 1500;

function options(args) {
  const { values } = parseArgs({
    args,
    options: {
      target: { type: 'string', default: 'coordinator' },
      at: { type: 'string', default: 'random' },
      when: { type: 'string', default: 'before' },
      kills: { type: 'string', default: '20' },
      rounds: { type: 'string', default: '10' },
      stride: { type: 'string', default: '1' },
      seed: { type: 'string', default: '1' },
      work: { type: 'string' },
    },
  });
  const { target, at, when, work } = values;
  if (target !== 'all' && !Object.hasOwn(worlds, target))
    throw new Error(`--target is one of all, ${Object.keys(worlds).join(', ')}`);
  if (at !== 'random' && !(kinds[target] ?? []).includes(at))
    throw new Error(`--at is random, for a coordinator also store and transport, for an agent transport`);
  if (!['before', 'after'].includes(when)) throw new Error('--when is before or after');
  return {
    target,
    at,
    when,
    work,
    kills: Number(values.kills),
    roundsOfRun: Number(values.rounds),
    stride: Number(values.stride),
    seed: Number(values.seed),
  };
}

/** Runs with kills at random moments, until there were enough. */
async function randomRuns(world, runs, { kills: wanted, seed, onRun }) {
  const kills = { done: 0, wanted };
  const random = randomFrom(seed);
  const undisturbed = await runs.runOnce();
  while (kills.done < wanted)
    await onRun(await runs.runOnce(atRandom(world, { random, longestMs, kills })), undisturbed);
  return { kills: kills.done };
}

/** A run for every n, in each process that counts. */
async function callRuns(world, runs, { at, when, stride, onRun }) {
  const [kills, missed] = [{ done: 0 }, { count: 0 }];
  let calls = 0;
  for (const process of world.dying) {
    const counted = await countCalls(process, at, runs.runOnce);
    calls += counted.calls;
    for (let nth = 1; nth <= counted.calls; nth += stride) {
      const disturb = await atCall(process, { at, nth, when, kills, missed });
      await onRun(await runs.runOnce(disturb), counted.outcome);
    }
  }
  return { calls, when, stride, kills: kills.done, missed: missed.count };
}

/** One line of the matrix. */
async function measure(target, { at, roundsOfRun, ...asked }) {
  const work = asked.work ?? (target === 'trainer' ? 'fit' : 'probe');
  const world = await worlds[target]({ at, work });
  try {
    const rounds = at === 'random' ? roundsOfRun : 1;
    const runs = await openRuns(world, { rounds });
    const total = { runs: 0, rounds: 0, committed: 0, lost: 0, doubled: 0, wrongSums: 0, unequal: 0, longestMs: 0 };
    const onRun = async (outcome, undisturbed) => {
      const found = compare(outcome, undisturbed, rounds);
      total.runs += 1;
      total.rounds += rounds;
      for (const name of ['committed', 'lost', 'doubled']) total[name] += found[name];
      total.wrongSums += await runs.wrongSums(outcome);
      total.longestMs = Math.max(total.longestMs, found.longestMs);
      if (!found.weightsEqual) total.unequal += 1;
      if (found.lost > 0 || !found.weightsEqual)
        console.error(
          `run ${outcome.id}: ${JSON.stringify({ ...found, status: outcome.status, reason: outcome.reason })}`,
        );
    };
    const deaths = await (at === 'random' ? randomRuns : callRuns)(world, runs, { at, ...asked, onRun });
    return {
      bench: 'crash',
      target,
      at,
      work,
      seed: asked.seed,
      ...deaths,
      runs: total.runs,
      rounds: total.rounds,
      roundsCommitted: total.committed,
      roundsLost: total.lost,
      roundsDoubled: total.doubled,
      // Real training has no sum that arithmetic could foretell: its weights are compared alone.
      wrongSums: work === 'fit' ? null : total.wrongSums,
      weightsEqual: total.unequal === 0,
      longestRoundSeconds: total.longestMs / 1000,
      machine: machine(),
    };
  } finally {
    await world.close();
  }
}

export async function run(args) {
  const { target, ...asked } = options(args);
  for (const one of target === 'all' ? Object.keys(worlds) : [target]) {
    const line = await measure(one, asked);
    console.log(JSON.stringify(line));
    const holds = line.roundsLost === 0 && line.roundsDoubled === 0 && (line.wrongSums ?? 0) === 0 && line.weightsEqual;
    if (!holds || line.kills === 0) process.exitCode = 1;
  }
}
