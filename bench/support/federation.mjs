/** A federation of real processes on loopback, for measurements: started, fed with a task, ended. */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const programs = {
  coordinator: join(root, 'coordinator/dist/main.js'),
  agent: join(root, 'client-agent/dist/main.js'),
};

function start(program, args, { logFile, env }) {
  const log = openSync(logFile, 'a');
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ['ignore', log, log],
    env: { ...process.env, ...env },
  });
  closeSync(log);
  child.exited = new Promise((done) => child.once('exit', done));
  return child;
}

async function end(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await child.exited;
  clearTimeout(timer);
}

/** Asks until there is an answer, every `everyMs`: asking costs the coordinator time too. */
export async function until(what, condition, { timeoutMs = 60_000, everyMs = 20 } = {}) {
  const giveUpAtMs = Date.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > giveUpAtMs) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await sleep(everyMs);
  }
}

/**
 * Opens a federation in a new temporary folder; `close()` ends every process and removes the folder.
 * `env` is the coordinator's, beside that of the script; `coordinatorArgs` come after its own.
 */
export async function openFederation(name, { env = {}, coordinatorArgs = [] } = {}) {
  const directory = mkdtempSync(join(tmpdir(), `graft-bench-${name}-`));
  const home = join(directory, 'coordinator');
  mkdirSync(home, { recursive: true });
  const agents = [];
  const federation = { directory, home, agents, coordinator: undefined, ready: undefined };

  /** Starts the coordinator, at the ports that it had before if it ran before. */
  federation.startCoordinator = async () => {
    const portOf = (address) => (federation.ready === undefined ? '0' : /:(\d+)$/.exec(address)[1]);
    const { apiUrl, grpcAddress, enrolAddress } = federation.ready ?? {};
    const ports = [
      '--api-port',
      portOf(apiUrl),
      '--grpc-port',
      portOf(grpcAddress),
      '--enrol-port',
      portOf(enrolAddress),
    ];
    const logFile = join(directory, 'coordinator.log');
    const child = start(programs.coordinator, ['--dir', home, ...ports, ...coordinatorArgs], { logFile, env });
    federation.coordinator = child;
    federation.ready = await until('the coordinator', () => {
      if (child.exitCode !== null)
        throw new Error(`the coordinator ended: ${readFileSync(logFile, 'utf8').slice(-2000)}`);
      const file = join(home, 'coordinator.json');
      if (!existsSync(file)) return undefined;
      const ready = JSON.parse(readFileSync(file, 'utf8'));
      return ready.pid === child.pid ? ready : undefined;
    });
    federation.key = readFileSync(join(home, 'admin.key'), 'utf8').trim();
  };

  /** One call of the admin API; undefined where the coordinator does not answer and `tolerant` is set. */
  federation.call = async (method, path, body, { tolerant = false } = {}) => {
    try {
      const response = await fetch(`${federation.ready.apiUrl}/api/v1${path}`, {
        method,
        headers: {
          authorization: `Bearer ${federation.key}`,
          ...(body === undefined
            ? {}
            : { 'content-type': body instanceof Uint8Array ? 'application/octet-stream' : 'application/json' }),
        },
        ...(body === undefined ? {} : { body: body instanceof Uint8Array ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
      return text === '' ? undefined : JSON.parse(text);
    } catch (error) {
      if (tolerant && error instanceof TypeError) return undefined;
      throw error;
    }
  };

  const logOf = (siteName) => join(directory, `${siteName}.log`);

  /** Enrols a site and starts its agent; `env` is the agent's, beside that of the script. */
  federation.addAgent = async (siteName, dataFile, env = {}) => {
    const { server, token, fingerprint } = await federation.call('POST', '/enrolment-tokens', {
      name: siteName,
      expiresInMs: 3_600_000,
    });
    const home = join(directory, siteName);
    const where = ['--server', server, '--token', token, '--fingerprint', fingerprint];
    const data = dataFile === undefined ? [] : ['--data', dataFile];
    const options = { logFile: logOf(siteName), env };
    const enrol = start(programs.agent, ['enroll', '--dir', home, ...where, ...data], options);
    if ((await enrol.exited) !== 0)
      throw new Error(`${siteName} could not enrol: ${readFileSync(logOf(siteName), 'utf8')}`);
    agents.push(federation.startAgent(siteName, env));
  };

  /** The agent of an enrolled site. */
  federation.startAgent = (siteName, env = {}) =>
    start(programs.agent, ['start', '--dir', join(directory, siteName)], { logFile: logOf(siteName), env });

  federation.untilConnected = (count) =>
    until(
      `${count} agents`,
      async () => (await federation.call('GET', '/agents')).filter(({ connected }) => connected).length >= count,
    );

  /** Waits until a run is over; a coordinator that is away meanwhile is waited for. */
  federation.untilOver = (runId, timeoutMs = 600_000) =>
    until(
      `run ${runId}`,
      async () => {
        const run = await federation.call('GET', `/runs/${runId}`, undefined, { tolerant: true });
        return run === undefined || run.status === 'running' || run.status === 'waiting' ? undefined : run;
      },
      { timeoutMs, everyMs: 100 },
    );

  federation.close = async () => {
    await Promise.all(agents.map(end));
    if (federation.coordinator !== undefined) await end(federation.coordinator);
    rmSync(directory, { recursive: true, force: true });
  };
  await federation.startCoordinator();
  return federation;
}
