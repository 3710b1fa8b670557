/** When the victims die: at random moments of runs, or at the n-th call of a run, for every n. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { until } from '../federation.mjs';

/** mulberry32: the moments of the kills come from a seed. */
export function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Of the kills: how many come before the federation has recovered from the one before. */
const hurried = 0.25;

/** Kills at random moments until the run is over or there were enough. */
export function atRandom(world, { random, longestMs, kills }) {
  const recovered = async () => (await world.call('GET', '/agents'))?.every(({ connected }) => connected);
  return async (progress) => {
    for (;;) {
      if (random() >= hurried) {
        await until('all agents', async () => progress.over || (await recovered()), { timeoutMs: 120_000 });
      }
      await sleep(20 + random() * longestMs);
      if (progress.over || kills.done >= kills.wanted) return;
      await world.kill(random);
      kills.done += 1;
    }
  };
}

const read = (folder, name) => {
  const file = join(folder, `${name}.json`);
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
};

let plans = 0;

/** Tells a process when to die, with its counts from zero; answers what it had counted until then. */
async function arm({ calls, child }, plan) {
  plans += 1;
  const id = `plan ${plans}`;
  writeFileSync(join(calls, 'plan.json'), JSON.stringify({ id, ...plan }));
  child().kill('SIGUSR2');
  const armed = () => {
    const said = read(calls, 'armed');
    return said?.id === id && said;
  };
  const { earlier } = await until('the counts of a process', armed);
  return { id, earlier };
}

/** How many calls of a kind a process makes in a run that nothing disturbs. */
export async function countCalls(process, at, runOnce) {
  await arm(process, {});
  const outcome = await runOnce();
  const { earlier } = await arm(process, {});
  return { calls: earlier[at], outcome };
}

/** The process dies at its n-th call and is started again; `missed` counts the runs that had fewer. */
export async function atCall(process, { at, nth, when, kills, missed }) {
  const { id } = await arm(process, { at, nth, when });
  return async (progress) => {
    const died = await until(
      'the death of a process',
      () => (read(process.calls, 'died')?.id === id ? 'died' : progress.over && 'over'),
      { timeoutMs: 300_000 },
    );
    if (died === 'over') {
      missed.count += 1;
      await arm(process, {});
      return;
    }
    await process.restart();
    kills.done += 1;
  };
}
