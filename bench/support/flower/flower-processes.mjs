/** The processes of a Flower deployment in a folder of its own: a SuperLink and its SuperNodes, as `flwr run` needs them. */
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { until } from '../federation.mjs';

/** The Python that has Flower, its version and the folder of its commands; undefined where there is none. */
export function flowerOf() {
  const python = process.env.GRAFT_FLOWER_PYTHON ?? 'python3';
  const script = 'import json, sysconfig, flwr; print(json.dumps([flwr.__version__, sysconfig.get_path("scripts")]))';
  const { status, stdout } = spawnSync(python, ['-c', script], { encoding: 'utf8' });
  if (status !== 0) return undefined;
  const [version, commands] = JSON.parse(stdout);
  return { version, commands };
}

/** Free ports of loopback, held together so that they differ. */
async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer());
  const listening = servers.map((server) => new Promise((done) => server.listen(0, '127.0.0.1', done)));
  await Promise.all(listening);
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

const accepts = (port) =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true));
    socket.on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });

/** Ids of the processes whose environment names `home`, those that lost their parent included. */
function processesOf(home) {
  return readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return readFileSync(`/proc/${name}/environ`, 'utf8').split('\0').includes(`FLWR_HOME=${home}`);
    } catch (error) {
      if (['ENOENT', 'ESRCH', 'EACCES'].includes(error.code)) return false;
      throw error;
    }
  });
}

function signal(pid, name) {
  try {
    process.kill(Number(pid), name);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

/** Starts a SuperLink and `agents` SuperNodes below `directory`; `end()` ends every process that names its FLWR_HOME. */
export async function startFlower({ commands }, directory, agents) {
  const home = join(directory, 'home');
  mkdirSync(home);
  const env = {
    ...process.env,
    PATH: `${commands}:${process.env.PATH}`,
    FLWR_HOME: home,
    FLWR_TELEMETRY_ENABLED: '0',
    FLWR_DISABLE_UPDATE_CHECK: '1',
  };
  const start = (name, args) => {
    const log = openSync(join(directory, 'flower.log'), 'a');
    const child = spawn(join(commands, name), args, { cwd: directory, env, stdio: ['ignore', log, log] });
    closeSync(log);
    return child;
  };
  const end = async () => {
    for (const { pid } of roots) signal(pid, 'SIGTERM');
    for (let waits = 0; waits < 100 && processesOf(home).length > 0; waits++) await sleep(100);
    for (const pid of processesOf(home)) signal(pid, 'SIGKILL');
  };
  const [port, ...nodePorts] = await freePorts(agents + 1);
  const connection = `[superlink]\ndefault = "bench"\n\n[superlink.bench]\naddress = "127.0.0.1:${port}"\ninsecure = true\n`;
  writeFileSync(join(home, 'config.toml'), connection);
  const link = ['--insecure', '--disable-runtime-dependency-installation', '--port', String(port)];
  const roots = [start('flower-superlink', link)];
  try {
    await until('the SuperLink', () => accepts(port), { everyMs: 100 });
    for (const nodePort of nodePorts) {
      const node = ['--insecure', '--superlink', `127.0.0.1:${port}`, '--port', String(nodePort)];
      roots.push(start('flower-supernode', node));
    }
    for (const nodePort of nodePorts) await until('a SuperNode', () => accepts(nodePort), { everyMs: 100 });
  } catch (error) {
    await end();
    throw error;
  }
  return { roots: roots.map(({ pid }) => pid), start, end };
}
