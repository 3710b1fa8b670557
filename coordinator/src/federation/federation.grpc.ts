/** graft.v1.Federation: decodes, checks who calls, calls the engine or the blob store, encodes. */
import type { ServerUnaryCall, ServerWritableStream } from '@grpc/grpc-js';

import type * as wire from '@graft/protos/messages';
import type { FederationHandlers } from '@graft/protos/service-definitions.adapter';

import type { Rounds } from '../rounds/rounds.js';
import type { Log } from '../server/log.js';
import { transferHandlers, type TransferPorts } from '../transfers/transfers.grpc.js';
import { admitAgent, agreeOnProtocol, checkClocks } from './admission.js';
import type { KnownAgent } from './agent-directory.js';
import { endWith, serverStream, unary, written } from './handlers.adapter.js';
import type { Hub, InstructionStream } from './hub.js';
import { agentIdOf } from './peer.adapter.js';

export interface FederationPorts extends TransferPorts {
  readonly rounds: Rounds;
  readonly hub: Hub;
  readonly version: string;
  /** What an agent says of itself may come to a replica that does not hold its stream. */
  readonly paused: (agentId: string, reason: string) => Promise<void>;
  readonly changed: (agentId: string) => Promise<void>;
}

/** How often an agent at work reports progress. */
const heartbeatMs = 5_000;

export function federationHandlers(ports: FederationPorts): FederationHandlers {
  const { agents, rounds, clock, log } = ports;
  const admitted = <Request, Response>(
    answer: (agent: KnownAgent, request: Request) => Promise<Response>,
  ): ReturnType<typeof unary<Request, Response>> =>
    unary(log, async (request, call: ServerUnaryCall<Request, Response>) =>
      answer(await admitAgent(agents, agentIdOf(call)), request),
    );
  return {
    connect: serverStream(log, async (request, call) => connect(ports, request, call)),
    heartbeat: admitted(async (agent, request) => {
      await ports.paused(agent.id, pausedOf(request));
      const { capabilities } = request;
      if (capabilities) {
        await agents.seen(agent.id, { atMs: clock.nowMs(), capabilities: bounded(capabilities) });
        // The machine chooses by what sites offer: it hears of the change as of a new connection.
        await ports.changed(agent.id);
      }
      if (request.runId !== '') rounds.progress(agent.id, request);
      return { nextMs: heartbeatMs };
    }),
    ...transferHandlers(ports),
    reportUpdate: admitted(async (agent, { manifest, signature }) =>
      rounds.reportUpdate(agent.id, manifest, signature),
    ),
    reportFailure: admitted(async (agent, report) => rounds.reportFailure(agent.id, report)),
    reportEvaluation: admitted(async (agent, report) => rounds.reportEvaluation(agent.id, report)),
    reportInstalled: admitted(async (agent, report) => rounds.reportInstalled(agent.id, report)),
  };
}

async function connect(
  ports: FederationPorts,
  request: wire.ConnectRequest,
  call: ServerWritableStream<wire.ConnectRequest, wire.Instruction>,
): Promise<void> {
  const { agents, hub, clock, log } = ports;
  const agent = await admitAgent(agents, agentIdOf(call));
  const atMs = clock.nowMs();
  const protocol = agreeOnProtocol({ min: request.minProtocol, max: request.maxProtocol });
  checkClocks(atMs, request.clockMs);
  const { capabilities } = request;
  await agents.seen(agent.id, {
    atMs,
    version: request.agentVersion.slice(0, 64),
    ...(capabilities && { capabilities: bounded(capabilities) }),
  });
  const stream = instructionStream(call, log);
  call.once('close', () => {
    log.info({ agentId: agent.id, name: agent.name }, 'agent disconnected');
    const expectedAtMs = hub.online().get(agent.id)?.expectedAtMs;
    const seen = agents.seen(agent.id, { atMs: clock.nowMs(), expectedAtMs });
    const noted = Promise.all([seen, hub.closed(agent.id, stream)]);
    noted.catch((error: unknown) => log.error({ err: error, agentId: agent.id }, 'a lost agent could not be noted'));
  });
  if (call.cancelled || call.destroyed) return;
  log.info({ agentId: agent.id, name: agent.name, agentVersion: request.agentVersion }, 'agent connected');
  const welcome = { protocol, coordinatorVersion: ports.version, heartbeatMs, clockMs: atMs };
  await hub.open(agent.id, stream, {
    welcome: { id: 'welcome', kind: 'welcome', welcome },
    paused: pausedOf(request),
  });
}

/** Why the agent takes no work, as it may be shown; empty where it does. */
function pausedOf({ paused = '' }: Pick<wire.ConnectRequest, 'paused'>): string {
  return paused.slice(0, 200);
}

/** Most words of a site about itself, and the longest of them. */
const words = { most: 64, longest: 128 };

/** What a site says of itself is kept and shown: no more than a site needs. */
function bounded(said: wire.Capabilities): wire.Capabilities {
  const few = (list: readonly string[] = []): string[] =>
    list.slice(0, words.most).map((word) => word.slice(0, words.longest));
  return { ...said, device: said.device.slice(0, 32), tags: few(said.tags), declinedTasks: few(said.declinedTasks) };
}

function instructionStream(
  call: ServerWritableStream<wire.ConnectRequest, wire.Instruction>,
  log: Log,
): InstructionStream {
  return {
    send: async (instruction) => {
      const error = await written(call, instruction);
      if (error) throw error;
    },
    end: (error) => {
      if (error === undefined) call.end();
      else endWith(call, error, log);
    },
  };
}
