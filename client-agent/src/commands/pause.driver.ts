/** `graft-agent pause` and `graft-agent resume`: the site's own brake, a file that every training looks for between two steps. */
import { rm } from 'node:fs/promises';

import { readAgentConfig } from '../config/agent-directory.adapter.js';
import { agentPaths } from '../config/agent-paths.js';
import { readIfPresent, writeFileAtomically } from '../config/files.adapter.js';
import { parsePause, type Pause } from '../daemon/brake-files.js';
import { formatTime } from '../output/format.js';
import type { CommandContext } from './context.driver.js';

/** Also where the allowed hours had paused it: then it stays so when they begin. */
export async function pause({ output, directory, options }: CommandContext<{ reason?: string }>): Promise<number> {
  const paths = agentPaths(directory);
  await readAgentConfig(paths);
  const known = await readPause(paths.paused);
  const isPaused = known !== undefined && known.by === 'site';
  const reason = (options.reason ?? '').slice(0, 200);
  const state: Pause = isPaused ? known : { sinceMs: known?.sinceMs ?? Date.now(), by: 'site', reason };
  if (!isPaused) await writeFileAtomically(paths.paused, JSON.stringify(state));
  output.result({ paused: state }, [
    isPaused
      ? `paused already, since ${formatTime(state.sinceMs)}`
      : 'paused: training stops at its next step, and no other work begins; to go on: graft-agent resume',
  ]);
  return 0;
}

/** Also outside the allowed hours: then it works until they end the next time. */
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
  return text === undefined ? undefined : parsePause(text);
}
