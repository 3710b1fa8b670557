/** The processes of the demo: a coordinator and its banks, each a program of its own, ended together. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { GraftError } from '@graft/core/error';

import { adminApi, type AdminApi } from '../api/admin-api.adapter.js';
import type { AgentView, InviteView } from '../api/views.js';
import type { CoordinatorFile } from '../commands/context.driver.js';
import { endProgram, programs, runProgram, startProgram, type Child } from '../processes/child.driver.js';
import { defaultSettings, startCoordinator, writeSettings } from '../processes/coordinator.driver.js';
import { readText } from '../processes/files.adapter.js';

export interface Stage {
  readonly api: AdminApi;
  readonly key: string;
  readonly coordinator: CoordinatorFile;
  /** The coordinator's directory. */
  readonly home: string;
  /** True once the coordinator that was started here has ended. */
  readonly hasEnded: () => boolean;
  /** Adds a bank: a folder with its images is enrolled and its agent started. */
  addBank(name: string): Promise<void>;
  /** Waits until so many agents are connected. */
  untilConnected(count: number): Promise<void>;
}

export const bankDirectory = (directory: string, name: string): string => join(directory, 'banks', name);

/** Ends every process of a demo: the agents, then the coordinator, which was started first. */
export async function endProcesses([coordinator, ...agents]: readonly Child[]): Promise<void> {
  await Promise.all(agents.map((agent) => endProgram(agent, 5_000)));
  if (coordinator !== undefined) await endProgram(coordinator, 10_000);
}

/**
 * Starts the coordinator on any free ports; they are kept in its settings, so that it comes back at the same address.
 * @param started gets every process as soon as there is one, so that a caller can end them at any moment
 */
export async function openStage(directory: string, started: Child[]): Promise<Stage> {
  const home = join(directory, 'coordinator');
  await mkdir(directory, { recursive: true });
  const settings = { ...defaultSettings, apiPort: 0, grpcPort: 0, enrolPort: 0 };
  await writeSettings(home, settings);
  const { ready, child } = await startCoordinator(home, settings, (one) => started.push(one));
  const portOf = (address: string): number => Number(/:(\d+)$/.exec(address)?.[1]);
  await writeSettings(home, {
    ...settings,
    apiPort: portOf(ready.apiUrl),
    grpcPort: portOf(ready.grpcAddress),
    enrolPort: portOf(ready.enrolAddress),
  });
  const key = (await readText(join(home, 'admin.key')))?.trim() ?? '';
  const api = adminApi(ready.apiUrl, key);
  return {
    api,
    key,
    coordinator: ready,
    home,
    hasEnded: () => child.process.exitCode !== null || child.process.signalCode !== null,
    addBank: async (name) => {
      const bank = bankDirectory(directory, name);
      const dataFile = join(bank, 'data.yaml');
      await writeFile(dataFile, 'format: image-folder\npath: images\n');
      const invite = await api.post<InviteView>('/enrolment-tokens', { name, expiresInMs: 3_600_000 });
      const home = join(bank, 'agent');
      const enrolled = await runProgram(programs.agent(), [
        'enroll',
        `--dir=${home}`,
        `--server=${invite.server}`,
        `--token=${invite.token}`,
        `--fingerprint=${invite.fingerprint}`,
        `--data=${dataFile}`,
      ]);
      if (enrolled.exit !== 0) throw new GraftError('INTERNAL', `${name} could not enrol: ${enrolled.stderr.trim()}`);
      started.push(
        startProgram(programs.agent(), ['start', '--dir', home], { logFile: join(bank, 'agent.log'), detached: true }),
      );
    },
    untilConnected: async (count) => {
      for (let waitedMs = 0; ; waitedMs += 100) {
        const connected = (await api.get<AgentView[]>('/agents')).filter((agent) => agent.connected).length;
        if (connected >= count) return;
        const ended = started.find(({ process: agent }) => agent.exitCode !== null);
        if (ended !== undefined || waitedMs > 60_000) {
          throw new GraftError(
            'UNAVAILABLE',
            `${connected} of ${count} agents connected; their logs are in ${join(directory, 'banks')}`,
          );
        }
        await sleep(100);
      }
    },
  };
}
