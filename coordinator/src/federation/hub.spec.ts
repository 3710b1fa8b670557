/** The hub over streams that are lists: who is chosen, who is told what, and when those come back that are sent away. */
import { GraftError } from '@graft/core/error';
import type * as wire from '@graft/protos/messages';

import { silentLog } from '../server/log.js';
import { grants } from './grants.js';
import { createHub, type Hub, type InstructionStream } from './hub.js';

interface Heard extends InstructionStream {
  readonly received: wire.Instruction[];
  ended: boolean;
}

function stream(): Heard {
  const heard: Heard = {
    received: [],
    ended: false,
    send: async (instruction) => void heard.received.push(instruction),
    end: () => void (heard.ended = true),
  };
  return heard;
}

const welcome: wire.Instruction = {
  id: 'welcome',
  kind: 'welcome',
  welcome: { protocol: 1, coordinatorVersion: '', heartbeatMs: 1, clockMs: 0 },
};

let calls: string[];
let hub: Hub;

function open(options: { readonly most?: number } = {}): Hub {
  return createHub({
    unsettled: async () => [],
    connected: async (agentId, paused) => void calls.push(`connected ${agentId} ${paused}`.trim()),
    lost: async (agentId) => void calls.push(`lost ${agentId}`),
    paused: async (agentId, reason) => void calls.push(reason === '' ? `resumed ${agentId}` : `paused ${agentId}`),
    grants: grants(),
    log: silentLog,
    ...options,
  });
}

const join = async (agentId: string, paused = ''): Promise<Heard> => {
  const heard = stream();
  await hub.open(agentId, heard, { welcome, paused });
  return heard;
};

const delays = (streams: readonly Heard[]): number[] =>
  streams.flatMap(({ received }) =>
    received.flatMap((one) => (one.kind === 'drain' ? one.drain.reconnectAfterMs : [])),
  );

beforeEach(() => {
  calls = [];
  hub = open();
});

describe('an agent that takes no work', () => {
  test('is online with its reason, and not among those that a cohort is chosen from', async () => {
    await join('one');
    await join('two', 'paused by the site');
    expect(hub.connected()).toEqual(['one']);
    expect([...hub.online()].map(([id, { paused }]) => [id, paused])).toEqual([
      ['one', ''],
      ['two', 'paused by the site'],
    ]);
    expect(calls).toEqual(['connected one', 'connected two paused by the site']);
  });

  test('tells the engine of each change and each other reason once, however often it says the same', async () => {
    await join('one');
    for (const reason of ['hours', 'hours', 'drain', '', '']) await hub.paused('one', reason);
    expect(calls).toEqual(['connected one', 'paused one', 'paused one', 'resumed one']);
    expect(hub.connected()).toEqual(['one']);
  });

  test('changes nothing without a stream', async () => {
    await hub.paused('stranger', 'paused');
    expect(calls).toEqual([]);
    expect(hub.online().size).toBe(0);
  });
});

describe('agents that are sent away', () => {
  test('by a coordinator that stops come back one after the other', async () => {
    const streams = [await join('a'), await join('b'), await join('c')];
    await hub.drain(1_000);
    const [first = 0, second = 0, third = 0] = delays(streams);
    expect(first).toBe(1_000);
    expect(second - first).toBeGreaterThan(0);
    expect(third - second).toBe(second - first);
    expect(streams.map(({ ended }) => ended)).toEqual([true, true, true]);
    await expect(join('d')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('by a full coordinator are told when to come back, and are not taken for connected', async () => {
    hub = open({ most: 1 });
    await join('a');
    const away = [await join('b'), await join('c')];
    expect(away.map(({ received }) => received.map(({ kind }) => kind))).toEqual([['drain'], ['drain']]);
    const [first = 0, second = 0] = delays(away);
    expect(first).toBeGreaterThan(0);
    expect(second).not.toBe(first);
    expect(hub.connected()).toEqual(['a']);
    expect(calls).toEqual(['connected a']);
  });

  test('by a full coordinator are not those that it has already', async () => {
    hub = open({ most: 1 });
    const first = await join('a');
    const second = await join('a');
    expect(first.ended).toBe(true);
    expect(second.received).toEqual([welcome]);
  });
});

test('an agent whose instructions cannot be read has to come back', async () => {
  hub = createHub({
    unsettled: async () => Promise.reject(new GraftError('INTERNAL', 'the store is away')),
    connected: async () => undefined,
    lost: async () => undefined,
    paused: async () => undefined,
    grants: grants(),
    log: silentLog,
  });
  expect((await join('one')).ended).toBe(true);
});
