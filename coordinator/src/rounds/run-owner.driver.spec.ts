import { describe, expect, it } from '@jest/globals';

import { coordinatorIdentity } from '../compute/sealing.contract.js';
import type { StepToSave } from './engine-store.js';
import { masterKey } from './federation.contract.js';
import { newRun, step } from './machine/machine.js';
import { checkpoint, planOf, updateOf } from './machine/scenario.contract.js';
import { memoryEngineStore } from './memory-engine-store.contract.js';
import { newRoundKey, publicRoundKey } from './round-keys.adapter.js';
import { ownRun, type RunOwner, type Untimed } from './run-owner.driver.js';

const agents = Array.from({ length: 100 }, (_, i) => `agent-${i}`);
const roundKey = newRoundKey({ runId: 'run', round: 1 }, coordinatorIdentity, masterKey);

/** A run that trains with a hundred agents, and a store that keeps what it is to save until it is let go. */
async function training() {
  let id = 0;
  const newId = (): string => String((id += 1));
  const sources = { newId, newRoundKey: () => roundKey, publicRoundKey, signRelease: () => new Uint8Array(64) };
  const store = memoryEngineStore({ tasks: {}, signingKeys: {} }, sources);
  const plan = planOf({ runId: 'run', kind: 'probe', cohort: { min: 100, goal: 100, max: 100 } });
  const first = newRun(plan, checkpoint(0), { atMs: 0 });
  const { state: machine } = step(first, { kind: 'started', connected: agents, atMs: 0 });
  const material = { kind: 'probe', taskId: 'task', layoutHash: 'x', parameterCount: 1, add: 1 } as const;
  const run = { machine, material, roundKey, transferred: { round: 1, agents: {} } };
  const saves: { readonly steps: readonly StepToSave[]; go(fails?: boolean): void }[] = [];
  const asked: string[] = [];
  const none = (): void => undefined;
  const owner = ownRun(
    { run, lease: await store.create(run) },
    {
      store: {
        ...store,
        save: (lease, before, steps) =>
          new Promise((resolve, reject) => {
            const go = (fails = false): void =>
              fails ? reject(new Error('the disk is full')) : resolve(store.save(lease, before, steps));
            saves.push({ steps, go });
          }),
      },
      perform: ({ kind }) => (asked.push(kind), new Promise<Untimed>(none)),
      wake: none,
      transferred: () => ({}),
      restarted: async () => ({ kind: 'restarted', connected: agents }),
      active: () => [],
      onOver: none,
      clock: { nowMs: () => 1 },
      timers: { after: () => none },
      logger: { info: none, warn: none, error: none },
    },
  );
  return { owner, saves, asked };
}

const report = (owner: RunOwner, agentId: string) =>
  owner.feed(() => ({ kind: 'updateReceived', agentId, round: 1, update: updateOf(agentId) }));

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('events that wait for an owner', () => {
  it('share a transaction of at most 64, each with a verdict of its own that nobody hears before it is stored', async () => {
    const { owner, saves, asked } = await training();
    const heard: string[] = [];
    const hear = async (agentId: string): Promise<void> => {
      const answer = await report(owner, agentId);
      heard.push(`${agentId}: ${answer?.verdict?.accepted}`);
    };
    // A stranger's report is counted, so it is a step; one that is repeated changes nothing.
    const all = [hear('agent-0'), hear('agent-0'), hear('stranger'), ...agents.slice(1).map(hear)];
    await settle();
    expect([saves.map(({ steps }) => steps.length), heard]).toEqual([[64], []]);
    saves[0]?.go();
    await settle();
    expect(heard.slice(0, 4)).toEqual(['agent-0: true', 'agent-0: true', 'stranger: false', 'agent-1: true']);
    expect([saves.map(({ steps }) => steps.length), heard.length, asked]).toEqual([[64, 37], 65, []]);
    saves[1]?.go();
    await Promise.all(all);
    expect(heard).toHaveLength(102);
    // The last report closes the round: what it asks for begins once it is stored.
    expect(asked).toEqual(['aggregate']);
  });

  it('are all told where their transaction fails, and count once when they are told again', async () => {
    const { owner, saves } = await training();
    const first = Promise.allSettled(['agent-0', 'agent-0', 'agent-1'].map((id) => report(owner, id)));
    await settle();
    saves[0]?.go(true);
    expect((await first).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    const again = Promise.all(['agent-0', 'agent-1'].map((id) => report(owner, id)));
    await settle();
    // What is stored is read again, and what the run is told of its agents is stored first.
    saves[1]?.go();
    await settle();
    saves[2]?.go();
    expect((await again).map((answer) => answer?.verdict?.accepted)).toEqual([true, true]);
    const { members } = owner.current().machine;
    expect(Object.values(members).filter(({ state }) => state === 'accepted')).toHaveLength(2);
  });

  it('end their group with the one that enters another phase', async () => {
    const { owner, saves } = await training();
    const fed = agents.slice(0, 10).map((id) => report(owner, id));
    const stopped = owner.feed(() => ({ kind: 'stopRequested', reason: 'enough' }));
    const late = report(owner, 'agent-50').catch((error: unknown) => error);
    await settle();
    expect(saves.map(({ steps }) => steps.length)).toEqual([11]);
    saves[0]?.go();
    await Promise.all([...fed, stopped]);
    expect(await late).toMatchObject({ code: 'UNAVAILABLE' });
    expect(owner.current().machine.status).toBe('stopped');
  });
});
