/**
 * One coordinator and three agents, with the work 'probe' (numbers that prove who was counted) or 'fit' (the demo's digits).
 * The coordinator or the agents count their calls where `counting` says so.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { openFederation } from '../federation.mjs';
import { isAway } from './away.mjs';
import { prepareDigits } from './digits.mjs';

/** What the sites' probes add, as multiples of the task's constant: distinct powers of two. */
export const weights = { 'site-1': 1, 'site-2': 2, 'site-3': 4 };
export const sites = Object.keys(weights);

/** How long what was killed is away, milliseconds. */
export const awayMs = 300;

const preload = (name) => `--import ${new URL(`./${name}.mjs`, import.meta.url).href}`;

/** Environment of the agent of a site; with a folder of calls it can die at a call. */
export function agentEnv(site, calls) {
  const loaded = calls === undefined ? ['site-weight'] : ['site-weight', 'die-at-call'];
  return {
    NODE_OPTIONS: loaded.map(preload).join(' '),
    GRAFT_BENCH_WEIGHT: String(weights[site]),
    ...(calls !== undefined && { GRAFT_BENCH_CALLS: calls }),
  };
}

/** A folder for the calls of each process. */
function openCalls() {
  const directory = mkdtempSync(join(tmpdir(), 'graft-bench-calls-'));
  const calls = Object.fromEntries(['coordinator', ...sites].map((name) => [name, join(directory, name)]));
  for (const folder of Object.values(calls)) mkdirSync(folder);
  return { calls, remove: () => rmSync(directory, { recursive: true }) };
}

export async function openSingle({ env = {}, counting, work = 'probe' } = {}) {
  const { calls, remove } = openCalls();
  const counted = { NODE_OPTIONS: preload('die-at-call'), GRAFT_BENCH_CALLS: calls.coordinator };
  const federation = await openFederation('crash', { env: counting === 'coordinator' ? { ...env, ...counted } : env });
  const close = async () => {
    await federation.close();
    remove();
  };
  const envOf = (site) => (work === 'fit' ? {} : agentEnv(site, counting === 'agent' ? calls[site] : undefined));
  try {
    const prepared = work === 'fit' ? await prepareDigits(federation, sites) : undefined;
    for (const site of sites) await federation.addAgent(site, prepared?.dataFiles[site], envOf(site));
    await federation.untilConnected(sites.length);
    return {
      federation,
      calls,
      task: prepared?.task,
      call: async (method, path, body) => {
        try {
          return await federation.call(method, path, body);
        } catch (error) {
          if (isAway(error)) return undefined;
          throw error;
        }
      },
      place: () => ({ apiUrl: federation.ready.apiUrl, key: federation.key }),
      restartAgent: async (index) => {
        await federation.agents[index].exited;
        await sleep(awayMs);
        federation.agents[index] = federation.startAgent(sites[index], envOf(sites[index]));
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
