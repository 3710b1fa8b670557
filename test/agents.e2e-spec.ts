/** Agents that die, hang, lose their network, pause and are drained: real processes, and what the coordinator says of them. */
import { join } from 'node:path';

import { jest } from '@jest/globals';

import { json, programs, run, start, until, type Running } from './support/commands.js';
import { openFederation, type Federation, type Run } from './support/federation.js';
import { openSilentProxy, type SilentProxy } from './support/silent-proxy.js';

// A loaded machine takes a minute to start a coordinator.
jest.setTimeout(180_000);

interface Agent {
  readonly name: string;
  readonly connected: boolean;
  readonly paused?: string;
}

/** Short, so that a host that says nothing is noticed within a test. */
const keepaliveMs = '1000';

let federation: Federation;
let before: string | undefined;

const agentNamed = async (name: string): Promise<Agent | undefined> =>
  (await federation.call<Agent[]>('GET', '/agents')).find((agent) => agent.name === name);

const connection = (name: string, connected: boolean): Promise<Agent> =>
  until(`${name} to be ${connected ? 'connected' : 'gone'}`, async () => {
    const agent = await agentNamed(name);
    return agent?.connected === connected ? agent : undefined;
  });

const homeOf = (name: string): string => join(federation.directory, name);

/** Kills an agent and starts it again, once the coordinator has noticed. */
async function restart(name: string, running: Running): Promise<Running> {
  running.process.kill('SIGKILL');
  await running.exited;
  await connection(name, false);
  const agent = start(programs.agent, ['start', '--dir', homeOf(name)]);
  (federation.agents as Running[]).push(agent);
  await connection(name, true);
  return agent;
}

beforeAll(async () => {
  before = process.env['GRAFT_KEEPALIVE_MS'];
  process.env['GRAFT_KEEPALIVE_MS'] = keepaliveMs;
  federation = await openFederation();
});
afterAll(async () => {
  if (before === undefined) delete process.env['GRAFT_KEEPALIVE_MS'];
  else process.env['GRAFT_KEEPALIVE_MS'] = before;
  await federation.close();
});

describe('an agent', () => {
  let lund: Running;

  beforeAll(async () => {
    lund = await federation.addAgent('lund');
    await connection('lund', true);
  });

  it('that is killed is gone for the coordinator, and comes back with its identity', async () => {
    lund = await restart('lund', lund);
    expect((await agentNamed('lund'))?.connected).toBe(true);
    expect(await federation.call<Agent[]>('GET', '/agents')).toHaveLength(1);
  });

  it('that hangs without closing its connection is gone within the keepalive, and back when it goes on', async () => {
    lund.process.kill('SIGSTOP');
    try {
      await connection('lund', false);
    } finally {
      lund.process.kill('SIGCONT');
    }
    expect((await connection('lund', true)).connected).toBe(true);
  });

  it('that the site pauses is shown as paused with the reason and not chosen, and does its share once it goes on', async () => {
    await run(programs.agent, ['pause', '--dir', homeOf('lund'), '--reason', 'backup']);
    const paused = await until('the pause', async () => {
      const agent = await agentNamed('lund');
      return agent?.paused === undefined ? undefined : agent;
    });
    expect(paused).toMatchObject({ connected: true, paused: 'paused by the site: backup' });
    const task = { name: 'paused', parameters: 1_000, add: 1, rounds: 1, cohort: { min: 1, goal: 1, max: 1 } };
    const runId = await federation.startProbe(task);
    const waiting = await until('the run to wait', async () => {
      const one = await federation.call<Run>('GET', `/runs/${runId}`);
      return one.status === 'waiting' ? one : undefined;
    });
    expect(waiting.committedRounds).toBe(0);
    await run(programs.agent, ['resume', '--dir', homeOf('lund')]);
    expect((await federation.untilCommitted(runId, 1)).committedRounds).toBe(1);
    expect((await agentNamed('lund'))?.paused).toBeUndefined();
  });

  it('that is drained ends with a sentence, and a new one goes on with its directory', async () => {
    const drained = await json<{ drained: boolean; reason: string }>(programs.agent, [
      'drain',
      '--dir',
      homeOf('lund'),
    ]);
    expect(drained).toMatchObject({ drained: true, reason: 'drained: nothing was left in hand' });
    expect(await lund.exited).toBe(0);
    await connection('lund', false);
    const again = await json<{ drained: boolean }>(programs.agent, ['drain', '--dir', homeOf('lund')]);
    expect(again.drained).toBe(false);
    lund = start(programs.agent, ['start', '--dir', homeOf('lund')]);
    (federation.agents as Running[]).push(lund);
    await connection('lund', true);
    lund.process.kill('SIGTERM');
    expect(await lund.exited).toBe(0);
  });
});

describe('agents behind one address', () => {
  const sites = ['oslo', 'turku', 'vaasa'];
  let proxy: SilentProxy | undefined;

  beforeAll(async () => {
    const between = await openSilentProxy(federation.ready.grpcAddress);
    proxy = between;
    for (const site of sites) await federation.addAgent(site, between.address);
    for (const site of sites) await connection(site, true);
  });
  afterAll(() => proxy?.close());

  it('and one proxy are each themselves, and do a round together', async () => {
    expect(proxy?.count()).toBeGreaterThanOrEqual(sites.length);
    const task = { name: 'together', parameters: 1_000, add: 1, rounds: 2, cohort: { min: 3, goal: 3, max: 3 } };
    const runId = await federation.startProbe(task);
    await federation.untilCommitted(runId, 2);
    const { record } = await federation.round(runId, 1);
    expect(Object.values(record.agents).map(({ state }) => state)).toEqual(['accepted', 'accepted', 'accepted']);
  });

  it('whose network falls silent are gone within the keepalive, and are back over a new connection', async () => {
    proxy?.silence();
    await Promise.all(sites.map((site) => connection(site, false)));
    await Promise.all(sites.map((site) => connection(site, true)));
    const task = { name: 'after', parameters: 1_000, add: 1, rounds: 1, cohort: { min: 3, goal: 3, max: 3 } };
    expect((await federation.untilCommitted(await federation.startProbe(task), 1)).committedRounds).toBe(1);
  });
});
