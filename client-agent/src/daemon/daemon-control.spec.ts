/** What the site wants of its agent: pause, hours, drain, priorities; and what it does with nonsense from a coordinator. */
import { rm, writeFile } from 'node:fs/promises';

import { jest } from '@jest/globals';
import { decodeUpdateManifest } from '@graft/protos/message-codec.adapter';
import type * as wire from '@graft/protos/messages';

import { readIfPresent } from '../config/files.adapter.js';
import { AgentRig } from './agent-rig.contract.js';
import { until } from './fake-coordinator.contract.js';
import { readOutbox } from './outbox.adapter.js';
import { readStatusFile } from './status-file.adapter.js';

// Processes, TLS and the disk of a loaded machine take their time.
jest.setTimeout(40_000);

let rig: AgentRig;

beforeAll(async () => {
  rig = await AgentRig.open();
});
afterAll(() => rig.close());
beforeEach(() => rig.reset());
afterEach(() => rig.clear());

const probe = (id: string, round: number, runId = 'run'): wire.Instruction =>
  rig.coordinator.probe(id, round, { runId });

/** A gate that trainings wait at, and how to open it. */
function gate(): () => void {
  let open: () => void = () => undefined;
  rig.trainer.gate = new Promise((resolve) => (open = resolve));
  return open;
}

const rounds = (): string[] =>
  rig.coordinator.updates.map(({ manifest }) => {
    const { runId, round } = decodeUpdateManifest(manifest);
    return `${runId} ${round}`;
  });

describe('a site that pauses', () => {
  it('is known as paused with its reason, begins nothing, and goes on where it was told to', async () => {
    await writeFile(rig.paths.paused, JSON.stringify({ sinceMs: 1, by: 'site', reason: 'backup' }));
    rig.start();
    const hello = await until(() => rig.coordinator.hellos[0], 'the connection');
    expect(hello.paused).toBe('paused by the site: backup');
    rig.coordinator.send(probe('i-1', 1));
    await rig.event('queued');
    expect(await readStatusFile(rig.paths.status)).toMatchObject({ paused: { reason: hello.paused } });
    expect(rig.trainings()).toBe(0);
    await rm(rig.paths.paused);
    await until(() => rig.coordinator.updates[0], 'the update');
    const told = rig.coordinator.heartbeats.filter(({ runId }) => runId === '').map(({ paused }) => paused);
    expect(told.at(-1)).toBe('');
  });

  it('tells so while it is connected, also in the middle of its work', async () => {
    const open = gate();
    rig.start();
    rig.coordinator.send(probe('i-1', 1));
    await until(() => rig.trainings() === 1, 'the training');
    await writeFile(rig.paths.paused, '{}');
    await until(() => rig.coordinator.heartbeats.find(({ paused }) => paused === 'paused by the site'), 'the pause');
    await rm(rig.paths.paused);
    await rig.event('resumed');
    open();
    await until(() => rig.coordinator.updates[0], 'the update');
    expect(rig.trainings()).toBe(1);
  });

  it('outside its hours is paused by them; inside, what they had paused goes on', async () => {
    const minute = (offset: number): string => new Date(Date.now() + offset * 60_000).toISOString().slice(11, 16);
    await rig.configure({ hours: `${minute(120)}-${minute(180)} UTC` });
    rig.start();
    const { reason } = await rig.event('paused');
    expect(reason).toMatch(/^outside its hours, \d\d:\d\d-\d\d:\d\d UTC$/);
    await rig.stop();
    await rig.configure({ hours: `${minute(-120)}-${minute(120)} UTC` });
    rig.start();
    await rig.event('connected');
    expect(await readIfPresent(rig.paths.paused)).toBeUndefined();
    expect(rig.coordinator.hellos.at(-1)?.paused).toBe('');
  });
});

describe('an agent that is drained', () => {
  it('finishes and reports what is in hand, takes nothing new, and says that nothing was left', async () => {
    const open = gate();
    rig.start();
    rig.coordinator.send(probe('i-1', 1));
    await until(() => rig.trainings() === 1, 'the training');
    await writeFile(rig.paths.drain, JSON.stringify({ atMs: Date.now(), limitMs: 60_000 }));
    await rig.event('draining');
    rig.coordinator.send(probe('i-2', 1, 'another run'));
    open();
    await rig.end();
    expect(rounds()).toEqual(['run 1']);
    expect(rig.trainings()).toBe(1);
    expect(rig.events.at(-1)).toEqual({ event: 'stopped', reason: 'drained: nothing was left in hand' });
    expect(rig.coordinator.heartbeats.some(({ paused }) => paused === 'about to stop')).toBe(true);
    expect(await readStatusFile(rig.paths.status)).toMatchObject({ state: 'stopped', cause: /^drained/ });
  });

  it('leaves at its limit what does not end, and says where it goes on', async () => {
    gate();
    await rig.configure({ stopLimitMs: 100 });
    rig.start();
    rig.coordinator.send(probe('i-1', 7));
    await until(() => rig.trainings() === 1, 'the training');
    rig.drain();
    await rig.end();
    expect(rig.events.at(-1)).toMatchObject({
      reason: expect.stringContaining('train of round 7 goes on from its checkpoint'),
    });
    expect(rig.coordinator.failures).toEqual([]);
  });

  it('at once where nothing is in hand', async () => {
    rig.start();
    await rig.event('connected');
    rig.drain();
    await rig.end();
    expect(rig.events.at(-1)).toEqual({ event: 'stopped', reason: 'drained: nothing was left in hand' });
  });

  it('is stopped by a second request, with what it had', async () => {
    gate();
    rig.start();
    rig.coordinator.send(probe('i-1', 1));
    await until(() => rig.trainings() === 1, 'the training');
    rig.drain();
    await rig.event('draining');
    await rig.stop();
    expect(rig.events.at(-1)).toMatchObject({ event: 'stopped' });
    expect(rig.coordinator.failures).toEqual([]);
  });

  it('starts again on its directory and does what was left', async () => {
    gate();
    await rig.configure({ stopLimitMs: 50 });
    rig.start();
    rig.coordinator.send(probe('i-1', 1));
    await until(() => rig.trainings() === 1, 'the training');
    rig.drain();
    await rig.end();
    rig.trainer.gate = undefined;
    rig.start();
    await until(() => rig.coordinator.updates[0], 'the update');
    expect(await readIfPresent(rig.paths.drain)).toBeUndefined();
  });
});

describe('work of several tasks', () => {
  it('is done one at a time, by priority; what the site says of a task goes before what the coordinator says', async () => {
    await rig.configure({ tasks: { small: { priority: 90 } } });
    const open = gate();
    rig.start();
    rig.coordinator.send({ ...probe('i-1', 1, 'first'), task: 'any' });
    await until(() => rig.trainings() === 1, 'the training');
    rig.coordinator.send({ ...probe('i-2', 1, 'low'), task: 'any', priority: 1 });
    rig.coordinator.send({ ...probe('i-3', 1, 'high'), task: 'large', priority: 50 });
    rig.coordinator.send({ ...probe('i-4', 1, 'own'), task: 'small', priority: 0 });
    const waiting = await until(async () => {
      const status = await readStatusFile(rig.paths.status);
      return status?.queue.length === 3 ? status.queue : undefined;
    }, 'the queue');
    expect(waiting.map(({ run, priority }) => [run, priority])).toEqual([
      ['own', 90],
      ['high', 50],
      ['low', 1],
    ]);
    expect(rig.trainings()).toBe(1);
    open();
    await until(() => rig.coordinator.updates.length === 4, 'the updates');
    expect(rounds()).toEqual(['first 1', 'own 1', 'high 1', 'low 1']);
  });

  it('is done side by side where agent.yaml says so', async () => {
    await rig.configure({ parallelJobs: 2 });
    const open = gate();
    rig.start();
    for (const run of ['a', 'b', 'c']) rig.coordinator.send(probe(`i-${run}`, 1, run));
    await until(() => rig.trainings() === 2, 'two trainings');
    open();
    await until(() => rig.coordinator.updates.length === 3, 'the updates');
    expect(rounds().sort()).toEqual(['a 1', 'b 1', 'c 1']);
  });

  it('that the site declines is refused by name, and the coordinator knew before', async () => {
    await rig.configure({ tasks: { spam: { accept: false } }, tags: ['region=north'] });
    rig.start();
    const hello = await until(() => rig.coordinator.hellos[0], 'the connection');
    expect(hello.capabilities).toMatchObject({ declinedTasks: ['spam'], tags: ['region=north'] });
    rig.coordinator.send({ ...probe('i-1', 1), task: 'spam' });
    const failure = await until(() => rig.coordinator.failures[0], 'the failure');
    expect(failure).toMatchObject({ code: 'TASK_DECLINED', message: expect.stringContaining("'spam'") });
    expect(rig.trainings()).toBe(0);
  });
});

describe('work of a round that is over', () => {
  it('is dropped with the reason, in hand and in the outbox', async () => {
    rig.coordinator.largestUpload = 0;
    rig.start();
    rig.coordinator.send(probe('i-1', 1));
    await until(() => readIfPresent(`${rig.paths.outbox}/i-1/record.json`), 'the finished update');
    rig.coordinator.unsettled = [];
    gate();
    rig.coordinator.send(probe('i-2', 2));
    await until(() => rig.trainings() === 2, 'the next training');
    await until(async () => (await readOutbox(rig.paths.outbox)).length === 0, 'the withdrawal');
    rig.coordinator.unsettled = [];
    rig.coordinator.send(probe('i-3', 3));
    await until(() => rig.events.filter(({ event }) => event === 'dropped').length === 2, 'both');
    expect(rig.events.filter(({ event }) => event === 'dropped')).toEqual([
      { event: 'dropped', kind: 'train', run: 'run', round: 1, reason: 'round 2 of the run has begun' },
      { event: 'dropped', kind: 'train', run: 'run', round: 2, reason: 'round 3 of the run has begun' },
    ]);
    const status = await until(async () => {
      const one = await readStatusFile(rig.paths.status);
      return one?.rounds.length === 2 ? one : undefined;
    }, 'the status');
    expect(status.rounds.map(({ dropped }) => dropped)).toEqual([
      'round 2 of the run has begun',
      'round 3 of the run has begun',
    ]);
  });
});

describe('an agent that is not needed for a while', () => {
  it('ends and reports what is in hand, leaves, and comes back when it was told to', async () => {
    const open = gate();
    rig.coordinator.comeBackMs = 50;
    rig.start();
    rig.coordinator.send(probe('i-1', 1));
    await until(() => rig.coordinator.heartbeats[0], 'a heartbeat');
    expect(rig.events.some(({ event }) => event === 'not-needed')).toBe(false);
    await until(() => rig.coordinator.heartbeats.length > 2, 'the answer to it');
    open();
    await rig.event('not-needed');
    expect(rounds()).toEqual(['run 1']);
    await until(() => rig.coordinator.hellos[1], 'the return');
  });

  it('leaves at once where it is idle, and stays where it has work', async () => {
    const open = gate();
    rig.start();
    await rig.event('connected');
    rig.coordinator.say({ id: 'd', kind: 'drain', drain: { reconnectAfterMs: 50, ifIdle: true } });
    expect(await rig.event('not-needed')).toEqual({ event: 'not-needed', comeBackMs: 50 });
    await until(() => rig.coordinator.hellos[1], 'the return');
    rig.coordinator.send(probe('i-1', 1));
    await rig.event('working');
    rig.coordinator.say({ id: 'd', kind: 'drain', drain: { reconnectAfterMs: 3_600_000, ifIdle: true } });
    open();
    await until(() => rounds()[0], 'the report');
    expect(rig.events.filter(({ event }) => event === 'not-needed')).toHaveLength(1);
  });
});

describe('the device', () => {
  it('is told to the coordinator once it was tried', async () => {
    rig.start();
    const told = await until(
      () =>
        rig.coordinator.heartbeats.find(({ capabilities }) => capabilities?.device === 'cuda') ??
        rig.coordinator.hellos.find(({ capabilities }) => capabilities?.device === 'cuda'),
      'the device',
    );
    expect(told.capabilities).toMatchObject({ device: 'cuda', trainingExamples: 9 });
  });
});

describe('nonsense from a coordinator', () => {
  it.each([
    ['of a kind that nobody knows', { id: 'x' }],
    [
      'without an id',
      { id: '', kind: 'install', install: { manifest: new Uint8Array(), signature: new Uint8Array() } },
    ],
    [
      'with an id as long as a book',
      {
        id: 'x'.repeat(100_000),
        kind: 'install',
        install: { manifest: new Uint8Array(), signature: new Uint8Array() },
      },
    ],
  ] satisfies [string, wire.Instruction][])('%s is ignored, said once, and work goes on', async (_, nonsense) => {
    rig.start();
    await rig.event('connected');
    rig.coordinator.say(nonsense);
    rig.coordinator.say(nonsense);
    rig.coordinator.send(probe('i-1', 1));
    await until(() => rig.coordinator.updates[0], 'the update');
    expect(rig.events.filter(({ event }) => event === 'ignored')).toHaveLength(1);
    expect(rig.coordinator.failures).toEqual([]);
  });

  it.each([
    ['in the past of all time', -(2 ** 53), 'PLAN_REFUSED'],
    ['a minute ago', Date.now() - 60_000, 'PLAN_REFUSED'],
    ['beyond all dates', 2 ** 53 - 1, undefined],
  ])('with a deadline %s does no harm', async (_, deadlineMs, code) => {
    rig.start();
    const plan = probe('i-1', 1);
    if (plan.kind !== 'train') throw new Error('not a plan');
    rig.coordinator.send({ ...plan, train: { ...plan.train, deadlineMs } });
    if (code === undefined) await until(() => rig.coordinator.updates[0], 'the update');
    else expect((await until(() => rig.coordinator.failures[0], 'the failure')).code).toBe(code);
  });

  it('that sends it away for weeks is asked again within a day, not at once', async () => {
    rig.start();
    await rig.event('connected');
    rig.coordinator.say({ id: 'd', kind: 'drain', drain: { reconnectAfterMs: 2 ** 32 - 1 } });
    const { reconnectAfterMs } = await rig.event('drained');
    expect(reconnectAfterMs).toBeGreaterThan(3_600_000);
    expect(reconnectAfterMs).toBeLessThan(2 ** 31);
    expect(rig.coordinator.hellos).toHaveLength(1);
  });
});
