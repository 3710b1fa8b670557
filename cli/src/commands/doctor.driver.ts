/** `graft doctor` and `graft env`: what would go wrong here, and what to send with a bug report. */
import { statfs } from 'node:fs/promises';
import { arch, cpus, platform, release, totalmem } from 'node:os';

import type { Command } from 'commander';

import type { AgentView } from '../api/views.js';
import { describeError } from '../output/output.js';
import { bytes } from '../output/format.js';
import { table } from '../output/table.js';
import { readSettings, runningCoordinator, type Settings } from '../processes/coordinator.driver.js';
import { action, connect, coordinatorDirectory, type GlobalOptions } from './context.driver.js';
import { checkProviders } from './provider-check.driver.js';
import { checkTfjs } from './tfjs-check.driver.js';
import { quoted } from '../output/quoted.js';

interface Check {
  readonly result: 'PASS' | 'FAIL' | 'WARN' | 'SKIPPED';
  readonly name: string;
  readonly message: string;
  /** The same for programs. */
  readonly details?: object;
}

const leastNode = [20, 19] as const;
const leastFreeBytes = 1e9;

/** Where everything is kept, without the password that a URL may hold. */
function storesOf({ database, blobs, blobsEndpoint }: Settings): string {
  const url = database !== undefined && URL.canParse(database) ? new URL(database) : undefined;
  const server = url === undefined ? 'PostgreSQL' : `PostgreSQL at ${url.host}${url.pathname}`;
  const place = database === undefined ? 'embedded' : server;
  const bucket = `${blobs}${blobsEndpoint === undefined ? '' : ` at ${blobsEndpoint}`}`;
  return `database ${place}; blobs ${blobs === undefined ? 'in the directory' : bucket}`;
}

async function checks(options: GlobalOptions): Promise<Check[]> {
  const directory = coordinatorDirectory(options);
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const node = major > leastNode[0] || (major === leastNode[0] && minor >= leastNode[1]);
  const result: Check[] = [
    { result: node ? 'PASS' : 'FAIL', name: 'node', message: `${process.version} (at least ${leastNode.join('.')})` },
    await checkProviders(),
    await checkTfjs(),
  ];
  const settings = await readSettings(directory);
  result.push(
    settings === undefined
      ? { result: 'SKIPPED', name: 'directory', message: `${directory} holds no coordinator; graft init makes one` }
      : { result: 'PASS', name: 'directory', message: directory },
  );
  if (settings !== undefined) {
    const { bavail, bsize } = await statfs(directory);
    const free = bavail * bsize;
    result.push({
      result: free < leastFreeBytes ? 'WARN' : 'PASS',
      name: 'disk',
      message: `${bytes(free)} free (at least ${bytes(leastFreeBytes)})`,
    });
    result.push({ result: 'PASS', name: 'stores', message: storesOf(settings) });
    const running = await runningCoordinator(directory);
    result.push(
      running === undefined
        ? {
            result: 'FAIL',
            name: 'coordinator',
            message: `not running; start it with: graft up --dir ${quoted(directory)}`,
          }
        : {
            result: 'PASS',
            name: 'coordinator',
            message: `pid ${running.pid}, agents ${running.grpcAddress}, enrolment ${running.enrolAddress}`,
          },
    );
  }
  try {
    const api = await connect(options);
    const system = await api.get<{ version: string }>('/system');
    const agents = await api.get<AgentView[]>('/agents');
    const online = agents.filter(({ connected }) => connected).length;
    result.push({ result: 'PASS', name: 'admin api', message: `${api.url}, version ${system.version}` });
    result.push({
      result: online < agents.length ? 'WARN' : 'PASS',
      name: 'sites',
      message: `${online} of ${agents.length} online`,
    });
  } catch (error) {
    result.push({ result: 'FAIL', name: 'admin api', message: describeError(error).lines.join(' ') });
  }
  return result;
}

export function registerDoctor(program: Command): void {
  program
    .command('doctor')
    .description('check this machine and its coordinator')
    .action(
      action<object>(async ({ options, output }) => {
        const all = await checks(options);
        const failed = all.filter(({ result }) => result === 'FAIL').length;
        output.result(all, [
          ...all.map(({ result, name, message }) => ` ${result.padEnd(7)}  ${name.padEnd(12)}  ${message}`),
          `${failed} failed`,
        ]);
        return failed > 0 ? 4 : 0;
      }),
    );
  program
    .command('env')
    .description('facts for a bug report; no names, no keys')
    .action(
      action<object>(async ({ output }) => {
        const facts = {
          node: process.version,
          platform: `${platform()} ${release()} ${arch()}`,
          cpu: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}`,
          memory: bytes(totalmem()),
        };
        await Promise.resolve();
        output.result(facts, table(['fact', 'value'], Object.entries(facts)));
      }),
    );
}
