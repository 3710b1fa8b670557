/**
 * The instruction streams: one an agent. What is sent is always what the store holds unsettled, so that a stream, a coordinator
 * or a wake-up that is lost loses no instruction. Sends to one agent never overlap, and wait for its stream.
 */
import { GraftError } from '@graft/core/error';
import type * as wire from '@graft/protos/messages';

import type { InstructionHub } from '../rounds/rounds.js';
import type { Log } from '../server/log.js';
import type { Grants } from './grants.js';

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
  /** The agent has a stream now, or none any more. */
  connected(agentId: string): Promise<void>;
  lost(agentId: string): Promise<void>;
  readonly grants: Grants;
  readonly log: Log;
}

interface Connection {
  readonly stream: InstructionStream;
  /** Ids that went out on this stream and are still unsettled. */
  sent: ReadonlySet<string>;
  /** The send in progress, and whether another one was asked for meanwhile. */
  sending: boolean;
  again: boolean;
}

export interface Hub extends InstructionHub {
  /** Opens an agent's stream, in place of an earlier one, with `welcome` first. */
  open(agentId: string, stream: InstructionStream, welcome: wire.Instruction): Promise<void>;
  /** The stream is closed; nothing happens where another one has taken its place. */
  closed(agentId: string, stream: InstructionStream): Promise<void>;
  /** Ends the stream of an agent, if it has one. */
  disconnect(agentId: string, error: GraftError): void;
  /** Tells every agent to come back later, and lets nobody in any more. */
  drain(reconnectAfterMs: number): Promise<void>;
}

export function createHub(ports: HubPorts): Hub {
  const connections = new Map<string, Connection>();
  let draining = false;

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

  const open: Hub['open'] = async (agentId, stream, welcome) => {
    if (draining) throw new GraftError('UNAVAILABLE', 'the coordinator is stopping; connect again later');
    const connection: Connection = { stream, sent: new Set(), sending: false, again: false };
    const before = connections.get(agentId);
    connections.set(agentId, connection);
    before?.stream.end(new GraftError('CANCELLED', `agent ${agentId} has opened another instruction stream`));
    await stream.send(welcome);
    await ports.connected(agentId);
    await deliver(agentId, connection);
  };

  return {
    open,
    wake,
    connected: () => [...connections.keys()].sort(),
    closed: async (agentId, stream) => {
      if (connections.get(agentId)?.stream !== stream) return;
      connections.delete(agentId);
      await ports.lost(agentId);
    },
    disconnect: (agentId, error) => connections.get(agentId)?.stream.end(error),
    drain: async (reconnectAfterMs) => {
      draining = true;
      const drain: wire.Instruction = { id: 'drain', kind: 'drain', drain: { reconnectAfterMs } };
      await Promise.allSettled([...connections.values()].map(({ stream }) => stream.send(drain)));
      for (const { stream } of connections.values()) stream.end();
    },
  };
}
