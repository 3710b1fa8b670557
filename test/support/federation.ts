/** A federation of real processes on loopback: one coordinator and its agents, ended together. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { folder, programs, run, start, stop, until, type Running } from './commands.js';

export const coordinatorProgram = resolve(import.meta.dirname, '../../coordinator/dist/main.js');

/** What coordinator.json says. */
export interface Ready {
  readonly pid: number;
  readonly apiUrl: string;
  readonly grpcAddress: string;
  readonly enrolAddress: string;
  readonly caFingerprint: string;
}

export interface Invite {
  readonly token: string;
  readonly server: string;
  readonly fingerprint: string;
}

export interface AgentOfRound {
  readonly state: string;
  readonly reason?: string;
  readonly message?: string;
}

export interface Round {
  readonly round: number;
  readonly phase: string;
  readonly record: {
    readonly agents: Readonly<Record<string, AgentOfRound>>;
    readonly updates: { readonly accepted: number; readonly refused: number };
    readonly refusals: Readonly<Record<string, number>>;
  };
}

export interface Run {
  readonly id: string;
  readonly status: string;
  readonly reason: string;
  readonly round: number;
  readonly committedRounds: number;
}

/** An answer of the admin API, whatever its status. */
export interface Answer<T> {
  readonly status: number;
  readonly body: T;
}

/** problem+json. */
export interface Problem {
  readonly code: string;
  readonly detail: string;
  readonly fix: string;
}

export interface Federation {
  readonly directory: string;
  /** The coordinator's directory. */
  readonly home: string;
  readonly ready: Ready;
  readonly key: string;
  readonly coordinator: Running;
  readonly agents: readonly Running[];
  ask<T>(method: string, path: string, body?: object | Uint8Array): Promise<Answer<T>>;
  /** The body of an answer; throws where it is a problem. */
  call<T>(method: string, path: string, body?: object | Uint8Array): Promise<T>;
  invite(name: string, expiresInMs?: number): Promise<Invite>;
  /** Enrols a site and starts its agent; at `address`, where it is to reach the coordinator by another way. */
  addAgent(name: string, address?: string): Promise<Running>;
  untilConnected(count: number): Promise<void>;
  /** Creates a task of probes and starts a run of it. */
  startProbe(task: ProbeTask): Promise<string>;
  untilCommitted(runId: string, rounds: number): Promise<Run>;
  round(runId: string, round: number): Promise<Round>;
  close(): Promise<void>;
}

export interface QuarantineRule {
  readonly refusals: number;
  readonly rounds?: number;
  readonly forMs?: number;
}

export interface ProbeTask {
  readonly name: string;
  readonly parameters: number;
  readonly add: number;
  readonly rounds: number;
  readonly windowMs?: number;
  readonly cohort: { readonly min: number; readonly goal: number; readonly max: number };
  readonly limits?: { readonly maxExamples?: number; readonly quarantine?: QuarantineRule };
}

export interface FederationOptions {
  /** Environment of the coordinator, beside that of the tests. */
  readonly env?: Readonly<Record<string, string>>;
  /** Called with the coordinator's directory before it starts. */
  readonly prepare?: (home: string) => Promise<void>;
  /** Called when every process has ended, before the directory is removed. */
  readonly cleanUp?: (home: string) => Promise<void>;
}

export const coordinatorArguments = (home: string): string[] => [
  '--dir',
  home,
  '--api-port',
  '0',
  '--grpc-port',
  '0',
  '--enrol-port',
  '0',
  '--log-level',
  'warn',
];

export async function openFederation(options: FederationOptions = {}): Promise<Federation> {
  const place = await folder();
  const home = join(place.path, 'coordinator');
  await mkdir(home);
  await options.prepare?.(home);
  const coordinator = start(coordinatorProgram, coordinatorArguments(home), options.env && { env: options.env });
  const agents: Running[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(agents.map(stop));
    await stop(coordinator);
    await options.cleanUp?.(home);
    await place.remove();
  };
  try {
    const ready = await until('the coordinator', async () => readReady(home, coordinator), 180_000);
    const key = (await readFile(join(home, 'admin.key'), 'utf8')).trim();
    return {
      ...calls(place.path, ready, { key, agents }),
      directory: place.path,
      home,
      ready,
      key,
      coordinator,
      agents,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** What coordinator.json says once it is there; throws where the process has ended. */
export async function readReady(home: string, coordinator: Running): Promise<Ready | undefined> {
  if (coordinator.process.exitCode !== null) throw new Error(`the coordinator ended: ${coordinator.stderr()}`);
  const text = await readFile(join(home, 'coordinator.json'), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as Ready);
}

type Calls = Omit<Federation, 'directory' | 'home' | 'ready' | 'key' | 'coordinator' | 'agents' | 'close'>;

function calls(directory: string, ready: Ready, { key, agents }: { key: string; agents: Running[] }): Calls {
  const ask = async <T>(method: string, path: string, body?: object | Uint8Array): Promise<Answer<T>> => {
    const binary = body instanceof Uint8Array;
    const type = binary ? 'application/octet-stream' : 'application/json';
    const response = await fetch(`${ready.apiUrl}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${key}`, ...(body !== undefined && { 'content-type': type }) },
      ...(body !== undefined && { body: binary ? Buffer.from(body) : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: (text === '' ? undefined : JSON.parse(text)) as T };
  };
  const call = async <T>(method: string, path: string, body?: object | Uint8Array): Promise<T> => {
    const answer = await ask<T>(method, path, body);
    if (answer.status < 300) return answer.body;
    throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  };
  const invite = async (name: string, expiresInMs = 600_000): Promise<Invite> =>
    call<Invite>('POST', '/enrolment-tokens', { name, expiresInMs });
  return {
    ask,
    call,
    invite,
    addAgent: async (name, address) => {
      const home = join(directory, name);
      await enrol(home, await invite(name));
      if (address !== undefined) await pointTo(home, address);
      const agent = start(programs.agent, ['start', '--dir', home]);
      agents.push(agent);
      return agent;
    },
    untilConnected: async (count) => {
      const connected = async (): Promise<number> =>
        (await call<{ connected: boolean }[]>('GET', '/agents')).filter((agent) => agent.connected).length;
      await until(`${count} agents`, async () => ((await connected()) >= count ? true : undefined));
    },
    startProbe: async (task) => {
      const { id: taskId } = await call<{ id: string }>('POST', '/tasks', { kind: 'probe', windowMs: 60_000, ...task });
      return (await call<{ id: string }>('POST', '/runs', { taskId, seed: 1 })).id;
    },
    untilCommitted: async (runId, rounds) =>
      until(`round ${rounds} of the run`, async () => {
        const one = await call<Run>('GET', `/runs/${runId}`);
        if (one.status === 'failed') throw new Error(`the run failed: ${one.reason}`);
        return one.committedRounds >= rounds ? one : undefined;
      }),
    round: async (runId, round) => call('GET', `/runs/${runId}/rounds/${round}`),
  };
}

async function enrol(home: string, { server, token, fingerprint }: Invite): Promise<void> {
  const where = ['--server', server, '--token', token, '--fingerprint', fingerprint];
  const { exit, stderr } = await run(programs.agent, ['enroll', '--dir', home, ...where]);
  if (exit !== 0) throw new Error(`a site could not enrol: ${stderr}`);
}

/** Rewrites where an enrolled agent calls. */
export async function pointTo(home: string, address: string): Promise<void> {
  const file = join(home, 'agent.yaml');
  await writeFile(file, (await readFile(file, 'utf8')).replace(/^federation: .*$/m, `federation: ${address}`));
}
