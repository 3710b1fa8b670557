/** Three coordinators on one PostgreSQL and one folder of blobs, behind a balancer; real processes on loopback, ended together. */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { openStore } from '@graft/coordinator/store/open-store.driver';

import { startPostgres } from '../postgres.adapter.js';
import { openBalancer } from './balancer.js';
import { folder, programs, run, start, stop, until, type Running } from './commands.js';
import { coordinatorProgram, readReady, type Invite, type ProbeTask, type Ready, type Run } from './federation.js';

export interface Replica {
  readonly home: string;
  running: Running;
  ready: Ready;
}

export interface Replicas {
  readonly directory: string;
  readonly replicas: readonly Replica[];
  readonly agents: readonly Running[];
  /** Calls the admin API of one replica, the first that answers where none is named. */
  call<T>(method: string, path: string, body?: object, at?: Replica): Promise<T>;
  /** Enrols a site and starts its agent; `env` is the agent's, beside that of the tests. */
  addAgent(name: string, env?: Readonly<Record<string, string>>): Promise<Running>;
  /** Starts a replica again on its directory and waits until it is ready. */
  restart(replica: Replica): Promise<void>;
  startProbe(task: ProbeTask, at?: Replica): Promise<string>;
  /** The replica that owns a run now; undefined where none does. */
  ownerOf(runId: string): Promise<Replica | undefined>;
  untilCommitted(runId: string, rounds: number): Promise<Run>;
  close(): Promise<void>;
}

/** Short, so that a test does not wait long for what died. */
export const leaseMs = 4_000;

export async function openReplicas(count: number): Promise<Replicas> {
  const place = await folder();
  const undo: (() => Promise<unknown>)[] = [place.remove];
  const close = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    return { ...(await open(count, place.path, undo)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function open(count: number, place: string, undo: (() => Promise<unknown>)[]): Promise<Omit<Replicas, 'close'>> {
  const server = await startPostgres();
  undo.push(() => server.stop());
  const db = await server.createDatabase();
  const [grpc, enrol] = [await openBalancer([]), await openBalancer([])];
  undo.push(
    () => grpc.close(),
    () => enrol.close(),
  );
  const shared = `--db ${db} --public-grpc 127.0.0.1:${grpc.port} --public-enrol 127.0.0.1:${enrol.port}`;
  const own = `--lease-ms ${leaseMs} --api-port 0 --grpc-port 0 --enrol-port 0 --log-level info`;
  // The folder has a space in its name.
  const args = (home: string): string[] => [
    '--dir',
    home,
    '--keys',
    join(place, 'secrets'),
    '--blobs',
    join(place, 'blobs'),
    ...`${shared} ${own}`.split(' '),
  ];
  const replicas: Replica[] = [];
  const begin = async (home: string): Promise<Pick<Replica, 'running' | 'ready'>> => {
    const running = start(coordinatorProgram, args(home));
    undo.push(() => stop(running));
    const { pid } = running.process;
    const ready = await until('a coordinator', async () => {
      const said = await readReady(home, running);
      return said?.pid === pid ? said : undefined;
    });
    return { running, ready };
  };
  for (let i = 0; i < count; i++) {
    const home = join(place, `replica-${i}`);
    await mkdir(home);
    replicas.push({ home, ...(await begin(home)) });
  }
  const balance = async (): Promise<void> => {
    const ports = await Promise.all(replicas.map(({ home }) => portsOf(home)));
    grpc.servers = ports.map(({ grpcPort }) => grpcPort);
    enrol.servers = ports.map(({ enrolPort }) => enrolPort);
  };
  await balance();
  const key = (await readFile(join(replicas[0]?.home ?? '', 'admin.key'), 'utf8')).trim();
  const store = await openStore({ kind: 'postgres', url: db });
  undo.push(async () => store.close());
  const agents: Running[] = [];
  const call = caller(replicas, key);
  return {
    directory: place,
    replicas,
    agents,
    call,
    addAgent: async (name, env = {}) => {
      const {
        token,
        server: at,
        fingerprint,
      } = await call<Invite>('POST', '/enrolment-tokens', {
        name,
        expiresInMs: 600_000,
      });
      const home = join(place, name);
      const where = ['--server', at, '--token', token, '--fingerprint', fingerprint];
      const { exit, stderr } = await run(programs.agent, ['enroll', '--dir', home, ...where]);
      if (exit !== 0) throw new Error(`a site could not enrol: ${stderr}`);
      const agent = start(programs.agent, ['start', '--dir', home], { env });
      agents.push(agent);
      undo.push(() => stop(agent));
      return agent;
    },
    restart: async (replica) => {
      Object.assign(replica, await begin(replica.home));
      await balance();
    },
    ownerOf: async (runId) => {
      const row = store.db.selectFrom('runs').select('lease_owner').where('id', '=', runId);
      const { lease_owner: owner } = await row.executeTakeFirstOrThrow();
      const ids = await Promise.all(replicas.map(({ home }) => readFile(join(home, 'keys', 'instance.id'), 'utf8')));
      return replicas[ids.findIndex((id) => id.trim() === owner)];
    },
    startProbe: async (task, at) => {
      const { id: taskId } = await call<{ id: string }>('POST', '/tasks', { kind: 'probe', windowMs: 60_000, ...task });
      return (await call<{ id: string }>('POST', '/runs', { taskId, seed: 1 }, at)).id;
    },
    untilCommitted: (runId, rounds) =>
      until(
        `round ${rounds} of the run`,
        async () => {
          const one = await call<Run>('GET', `/runs/${runId}`);
          if (one.status === 'failed') throw new Error(`the run failed: ${one.reason}`);
          return one.committedRounds >= rounds ? one : undefined;
        },
        90_000,
      ),
  };
}

async function portsOf(home: string): Promise<{ grpcPort: number; enrolPort: number }> {
  return JSON.parse(await readFile(join(home, 'ports.json'), 'utf8')) as { grpcPort: number; enrolPort: number };
}

/** A replica that stands still must not hold up a test for long; on a busy machine others may take seconds too. */
const patienceMs = { GET: 5_000, other: 30_000 };

/** Asks the replica that is named; else the one that answered last, and the others in turn where it does not. */
function caller(replicas: readonly Replica[], key: string): Replicas['call'] {
  let last = 0;
  const ask = async (method: string, path: string, body: object | undefined, { ready }: Replica): Promise<Response> =>
    fetch(`${ready.apiUrl}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${key}`, ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(method === 'GET' ? patienceMs.GET : patienceMs.other),
    });
  return async <T>(method: string, path: string, body?: object, at?: Replica): Promise<T> => {
    let failure: unknown = new Error('there is no replica');
    for (let asked = 0; asked < replicas.length; asked++) {
      const replica = at ?? replicas[last % replicas.length];
      if (replica === undefined) break;
      const response = await ask(method, path, body, replica).catch((error: unknown) => (failure = error));
      if (response instanceof Response) {
        const text = await response.text();
        if (response.status < 300) return (text === '' ? undefined : JSON.parse(text)) as T;
        failure = new Error(`${method} ${path}: ${response.status} ${text}`);
        if (response.status !== 503) break;
      }
      if (at !== undefined) break;
      last += 1;
    }
    throw failure;
  };
}
