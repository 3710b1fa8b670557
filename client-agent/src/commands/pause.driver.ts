/** `graft-agent pause` and `graft-agent resume`: the site's own brake, a file that every training looks for between two steps. */
import { rm } from 'node:fs/promises';

import { readAgentConfig } from '../config/agent-directory.adapter.js';
import { agentPaths } from '../config/agent-paths.js';
import { readIfPresent, writeFileAtomically } from '../config/files.adapter.js';
import { formatTime } from '../output/format.js';
import type { CommandContext } from './context.driver.js';

export interface Pause {
  readonly sinceMs: number;
}

export async function pause({ output, directory }: CommandContext<object>): Promise<number> {
  const paths = agentPaths(directory);
  await readAgentConfig(paths);
  const known = await readPause(paths.paused);
  const state: Pause = known ?? { sinceMs: Date.now() };
  if (known === undefined) await writeFileAtomically(paths.paused, JSON.stringify(state));
  output.result({ paused: state }, [
    known === undefined
      ? 'paused: training stops at its next step; to go on: graft-agent resume'
      : `paused already, since ${formatTime(state.sinceMs)}`,
  ]);
  return 0;
}

export async function resume({ output, directory }: CommandContext<object>): Promise<number> {
  const paths = agentPaths(directory);
  await readAgentConfig(paths);
  const known = await readPause(paths.paused);
  await rm(paths.paused, { force: true });
  output.result({ paused: null }, [known === undefined ? 'it was not paused' : 'training goes on']);
  return 0;
}

/** Undefined where the site is not paused; a file that says nothing pauses all the same. */
export async function readPause(file: string): Promise<Pause | undefined> {
  const text = await readIfPresent(file);
  if (text === undefined) return undefined;
  const sinceMs: unknown = /"sinceMs":(\d+)/.exec(text)?.[1];
  return { sinceMs: Number(sinceMs ?? 0) };
}
