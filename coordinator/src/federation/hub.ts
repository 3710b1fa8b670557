/**
 * The instruction streams: one an agent. What is sent is always what the store holds unsettled, so that a stream, a coordinator
 * or a wake-up that is lost loses no instruction. Sends to one agent never overlap, and wait for its stream.
 */
import { GraftError } from '@graft/core/error';
import type * as wire from '@graft/protos/messages';

import type { InstructionHub } from '../rounds/rounds.js';
import type { Log } from '../server/log.js';
import type { Grants } from './grants.js';
import { drainAfterMs } from './come-back.js';

/** One open stream to an agent. */
export interface InstructionStream {
  /** Resolves when the stream takes more; rejects when it is closed. */
  send(instruction: wire.Instruction): Promise<void>;
  /** Ends the stream with an error, or without one. */
  end(error?: GraftError): void;
}

export interface HubPorts {
  /** Instructions of an agent that are not settled, oldest first. */
  unsettled(agentId: string): Promise<readonly wire.Instruction[]>;
  /** The agent has a stream now; `paused` says why it takes no work, empty where it does. */
  connected(agentId: string, paused: string): Promise<void>;
  /** The agent has no stream any more. */
  lost(agentId: string): Promise<void>;
  /** An agent with a stream takes no work any more, or takes work again where `reason` is empty. */
  paused(agentId: string, reason: string): Promise<void>;
  readonly grants: Grants;
  readonly log: Log;
  /** Streams that are held at once; who comes then is told to come back later. Default `mostStreams`. */
  readonly most?: number;
}

/** What each stream costs is some 50 KiB of memory and a ping every ten seconds. */
const mostStreams = 20_000;

/** What is known of an agent with a stream. */
export interface Online {
  /** Why it takes no work, for people; empty where it does. */
  readonly paused: string;
  /** When it comes back, where it was told that it is not needed. */
  readonly expectedAtMs?: number;
}

interface Connection {
  readonly stream: InstructionStream;
  paused: string;
  expectedAtMs?: number;
  /** Ids that went out on this stream and are still unsettled. */
  sent: ReadonlySet<string>;
  /** The send in progress, and whether another one was asked for meanwhile. */
  sending: boolean;
  again: boolean;
}

export interface Opening {
  readonly welcome: wire.Instruction;
  /** Why the agent takes no work, empty where it does. */
  readonly paused: string;
}

export interface Hub extends InstructionHub {
  /** Opens an agent's stream, in place of an earlier one, with the welcome first. */
  open(agentId: string, stream: InstructionStream, opening: Opening): Promise<void>;
  /** The stream is closed; nothing happens where another one has taken its place. */
  closed(agentId: string, stream: InstructionStream): Promise<void>;
  /** The agent says whether it takes work; nothing happens where it said so before or has no stream. */
  paused(agentId: string, reason: string): Promise<void>;
  /** Every agent with a stream, also those that take no work now. */
  online(): ReadonlyMap<string, Online>;
  /** Ends the stream of an agent, if it has one. */
  disconnect(agentId: string, error: GraftError): void;
  /** Tells an agent that it is not needed before `backAtMs`, which is `awayMs` from now; it stays where it has something in hand. */
  sendAway(agentId: string, until: { readonly awayMs: number; readonly backAtMs: number }): Promise<void>;
  /** Tells every agent to come back later, each at its own time, and lets nobody in any more. */
  drain(reconnectAfterMs: number): Promise<void>;
}

export function createHub(ports: HubPorts): Hub {
  const connections = new Map<string, Connection>();
  const most = ports.most ?? mostStreams;
  let draining = false;
  let turnedAway = 0;

  const sendUnsettled = async (agentId: string, connection: Connection): Promise<void> => {
    const instructions = await ports.unsettled(agentId);
    const sent = new Set<string>();
    for (const instruction of instructions) {
      if (connections.get(agentId) !== connection) return;
      sent.add(instruction.id);
      if (connection.sent.has(instruction.id)) continue;
      ports.grants.instructed(agentId, instruction);
      await connection.stream.send(instruction);
    }
    connection.sent = sent;
  };

  const deliver = async (agentId: string, connection: Connection): Promise<void> => {
    if (connection.sending) {
      connection.again = true;
      return;
    }
    connection.sending = true;
    try {
      do {
        connection.again = false;
        await sendUnsettled(agentId, connection);
      } while (connection.again && connections.get(agentId) === connection);
    } catch (error) {
      if (connections.get(agentId) !== connection) return;
      ports.log.error({ err: error, agentId }, 'instructions could not be sent; the agent has to come back');
      connection.stream.end(
        new GraftError('UNAVAILABLE', 'instructions could not be read; connect again', { cause: error }),
      );
    } finally {
      connection.sending = false;
    }
  };

  const wake = (agentId: string): void => {
    const connection = connections.get(agentId);
    if (connection !== undefined) void deliver(agentId, connection);
  };

  /** There is no room: it comes back once the others have gone, and not all who wait at once. */
  const turnAway = async (agentId: string, stream: InstructionStream): Promise<void> => {
    turnedAway += 1;
    const reconnectAfterMs = drainAfterMs({ afterMs: fullMs, index: turnedAway % waiters, count: waiters });
    ports.log.warn({ agentId, most }, 'there is no room for another agent; it comes back later');
    await stream.send(drainInstruction(reconnectAfterMs));
    stream.end();
  };

  const open: Hub['open'] = async (agentId, stream, { welcome, paused }) => {
    if (draining) throw new GraftError('UNAVAILABLE', 'the coordinator is stopping; connect again later');
    const before = connections.get(agentId);
    if (before === undefined && connections.size >= most) return turnAway(agentId, stream);
    const connection: Connection = { stream, paused, sent: new Set(), sending: false, again: false };
    connections.set(agentId, connection);
    before?.stream.end(new GraftError('CANCELLED', `agent ${agentId} has opened another instruction stream`));
    await stream.send(welcome);
    await ports.connected(agentId, paused);
    await deliver(agentId, connection);
  };

  return {
    open,
    wake,
    connected: () =>
      [...connections]
        .filter(([, { paused }]) => paused === '')
        .map(([id]) => id)
        .sort(),
    online: () => connections,
    closed: async (agentId, stream) => {
      if (connections.get(agentId)?.stream !== stream) return;
      connections.delete(agentId);
      await ports.lost(agentId);
    },
    paused: async (agentId, reason) => {
      const connection = connections.get(agentId);
      if (connection === undefined || connection.paused === reason) return;
      connection.paused = reason;
      await ports.paused(agentId, reason);
    },
    sendAway: async (agentId, { awayMs, backAtMs }) => {
      const connection = connections.get(agentId);
      if (connection === undefined || draining) return;
      connection.expectedAtMs = backAtMs;
      const drain = { reconnectAfterMs: awayMs, ifIdle: true };
      await connection.stream.send({ id: 'drain', kind: 'drain', drain });
    },
    disconnect: (agentId, error) => connections.get(agentId)?.stream.end(error),
    drain: async (reconnectAfterMs) => {
      draining = true;
      const streams = [...connections.values()].map(({ stream }) => stream);
      await Promise.allSettled(
        streams.map(async (stream, index) =>
          stream.send(drainInstruction(drainAfterMs({ afterMs: reconnectAfterMs, index, count: streams.length }))),
        ),
      );
      for (const stream of streams) stream.end();
    },
  };
}

/** Agents that find no room come back after this, milliseconds, so many of them one after the other. */
const fullMs = 30_000;
const waiters = 5_000;

function drainInstruction(reconnectAfterMs: number): wire.Instruction {
  return { id: 'drain', kind: 'drain', drain: { reconnectAfterMs } };
}
