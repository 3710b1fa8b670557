/** Round policies with real processes: a slow site is not waited for and still counts; tags choose who takes part. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { programs, start, stop, until } from './support/commands.js';
import { openFederation, type AgentOfRound, type Federation, type Round, type Run } from './support/federation.js';

interface WeighedAgent extends AgentOfRound {
  readonly staleness?: number;
  readonly weight?: number;
}

describe('a federation with one slow site', () => {
  let federation: Federation;
  const agentIds = new Map<string, string>();

  /** Enrols a site whose agent.yaml says something else in a line of its defaults. */
  const addSite = async (name: string, line: string, instead: string): Promise<void> => {
    await stop(await federation.addAgent(name));
    const home = join(federation.directory, name);
    const file = join(home, 'agent.yaml');
    const text = await readFile(file, 'utf8');
    expect(text).toContain(line);
    await writeFile(file, text.replace(line, instead));
    (federation.agents as unknown[]).push(start(programs.agent, ['start', '--dir', home]));
  };
  const startRun = async (task: object): Promise<string> => {
    const { id: taskId } = await federation.call<{ id: string }>('POST', '/tasks', { kind: 'probe', ...task });
    return (await federation.call<{ id: string }>('POST', '/runs', { taskId, seed: 1 })).id;
  };
  const isOver = async (runId: string): Promise<Run | undefined> => {
    const one = await federation.call<Run>('GET', `/runs/${runId}`);
    return one.status === 'running' || one.status === 'waiting' ? undefined : one;
  };
  const agentsOf = async (runId: string, round: number): Promise<Record<string, WeighedAgent>> => {
    const { record } = (await federation.round(runId, round)) as Round & {
      readonly record: { readonly agents: Readonly<Record<string, WeighedAgent>> };
    };
    return Object.fromEntries(Object.entries(record.agents).map(([id, agent]) => [agentIds.get(id) ?? id, agent]));
  };

  beforeAll(async () => {
    federation = await openFederation();
    await addSite('lund', 'tags: []', 'tags: [icu]');
    await addSite('oslo', 'tags: []', 'tags: [icu, north]');
    // An update of 160 kB takes it more than a second.
    await addSite('slow', 'deltas: auto', 'maxUpload: 100 kB/s');
    await federation.untilConnected(3);
    for (const { id, name } of await federation.call<{ id: string; name: string }[]>('GET', '/agents')) {
      agentIds.set(id, name);
    }
  }, 120_000);

  afterAll(async () => federation.close());

  it('commits buffered rounds without waiting for it, and counts its update by its staleness', async () => {
    const runId = await startRun({
      name: 'buffered',
      parameters: 40_000,
      add: 0.5,
      rounds: 1000,
      cohort: { min: 1, goal: 2, max: 3 },
      windowMs: 60_000,
      policy: { kind: 'bufferedAsynchronous', maxStaleness: 64 },
    });
    let next = 1;
    // The round that has taken an update of the slow site; all before it were committed without.
    const taken = await until('an update of the slow site', async () => {
      const { committedRounds } = await federation.call<Run>('GET', `/runs/${runId}`);
      for (; next <= committedRounds; next++) {
        const agents = await agentsOf(runId, next);
        if (agents.slow?.state === 'accepted') return { round: next, agents };
        expect(agents).toMatchObject({ lund: { state: 'accepted' }, oslo: { state: 'accepted' } });
      }
      return undefined;
    });
    const { staleness = 0, weight = 1 } = taken.agents.slow ?? {};
    expect(staleness).toBeLessThan(taken.round);
    expect(staleness).toBeGreaterThan(0);
    expect(weight).toBeCloseTo(1 / Math.sqrt(1 + staleness), 12);
    // One update a round at most: the next one of the slow site is of a later base.
    expect(Object.values(taken.agents).filter(({ state }) => state === 'accepted')).toHaveLength(2);
    await federation.call('POST', `/runs/${runId}/stop`, { reason: 'seen' });
    expect((await isOver(runId))?.status).toBe('stopped');
  }, 90_000);

  it('asks only sites with the tags of the task, and says what it waits for where there are too few', async () => {
    const task = { parameters: 1000, add: 1, windowMs: 60_000 };
    const one = { min: 1, goal: 1, max: 3 };
    const two = { min: 2, goal: 2, max: 3 };
    const icu = await startRun({ ...task, name: 'icu', rounds: 2, cohort: two, selection: { tags: ['icu'] } });
    await until('the end of the run', async () => isOver(icu), 60_000);
    for (const round of [1, 2]) expect(Object.keys(await agentsOf(icu, round)).sort()).toEqual(['lund', 'oslo']);
    const north = await startRun({ ...task, name: 'north', rounds: 1, cohort: one, selection: { tags: ['north'] } });
    await until('the end of the run', async () => isOver(north), 60_000);
    expect(Object.keys(await agentsOf(north, 1))).toEqual(['oslo']);
    const waiting = await startRun({ ...task, name: 'two', rounds: 1, cohort: two, selection: { tags: ['north'] } });
    const { status, reason } = await federation.call<Run>('GET', `/runs/${waiting}`);
    expect([status, reason]).toEqual([
      'waiting',
      'round 1 needs 2 agents with tag north; 1 is connected: oslo, besides 2 that may not take part: ' +
        `${[...agentIds]
          .filter(([, name]) => name !== 'oslo')
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([, name]) => name)
          .join(', ')}; ` +
        'it goes on when another one connects',
    ]);
    await federation.call('POST', `/runs/${waiting}/stop`, { reason: 'seen' });
  }, 90_000);
});
