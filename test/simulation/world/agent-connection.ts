/** An agent's instruction stream: opened, kept, lost by either side, opened again. In order, and nothing of it is lost while it is open. */
import type { InstructionStream } from '../../../coordinator/src/federation/hub.js';
import type { Instruction } from '../../../protos/src/messages.js';
import type { CoordinatorProcess } from './coordinator-process.js';
import { keepaliveMs, latencyMs, type Link } from './network.js';
import type { World } from './world.js';

export interface AgentConnection {
  readonly process: CoordinatorProcess;
  /** The agent's end is gone; the coordinator learns of it after `noticeMs`. */
  drop(noticeMs: number): void;
  /** The coordinator's end is gone. */
  processDied(): void;
  /** Both ends give up where no byte has passed for too long. */
  checkAlive(): void;
}

export interface ConnectionHandlers {
  received(instruction: Instruction): void;
  closed(): void;
}

const welcome: Instruction = {
  id: 'welcome',
  kind: 'welcome',
  welcome: { protocol: 1, coordinatorVersion: 'simulated', heartbeatMs: 5000, clockMs: 0 },
};

export function openConnection(
  world: World,
  { agentId, link }: { readonly agentId: string; readonly link: Link },
  process: CoordinatorProcess,
  handlers: ConnectionHandlers,
): AgentConnection {
  const { scheduler, faults } = world;
  let isOpen = true;
  let lastArrivalMs = 0;

  function closeHere(): void {
    if (!isOpen) return;
    isOpen = false;
    handlers.closed();
  }

  function closeThere(noticeMs: number): void {
    process.after(noticeMs, `hub loses ${agentId}`, () => {
      process.hub.closed(agentId, stream).catch(ignore);
    });
  }

  /** A message that meets a cut link waits for it, as TCP lets it. */
  function arrive(instruction: Instruction): void {
    if (!isOpen) return;
    if (link.cut) scheduler.after(1000, `${instruction.kind} for ${agentId} waits`, () => arrive(instruction));
    else handlers.received(instruction);
  }

  const stream: InstructionStream = {
    send: async (instruction) => {
      if (!isOpen) throw new Error('the stream is closed');
      const fate = faults.fateOf('transport', scheduler.nowMs(), false);
      if (fate.kind === 'crash' && fate.when === 'before') return never(world, process, fate.downMs);
      lastArrivalMs = Math.max(lastArrivalMs + 1, scheduler.nowMs() + latencyMs(world));
      scheduler.after(lastArrivalMs - scheduler.nowMs(), `${instruction.kind} to ${agentId}`, () =>
        arrive(instruction),
      );
      if (fate.kind === 'crash') return never(world, process, fate.downMs);
      return undefined;
    },
    end: () => {
      scheduler.after(latencyMs(world), `stream of ${agentId} ends`, closeHere);
      closeThere(0);
    },
  };

  process.after(latencyMs(world), `${agentId} connects`, () => {
    process.hub.open(agentId, stream, { welcome, paused: '' }).catch(() => {
      scheduler.after(latencyMs(world), `${agentId} is not let in`, closeHere);
      closeThere(0);
    });
  });

  return {
    process,
    drop: (noticeMs) => {
      isOpen = false;
      closeThere(noticeMs);
    },
    processDied: () => {
      scheduler.after(link.cut ? keepaliveMs : latencyMs(world), `${agentId} loses its coordinator`, closeHere);
    },
    checkAlive: () => {
      if (!isOpen || !link.cut) return;
      closeHere();
      closeThere(0);
    },
  };
}

/** The process is gone: what it waits for never comes. */
function never(world: World, process: CoordinatorProcess, downMs: number): Promise<void> {
  world.crash(process, downMs);
  return new Promise<void>(ignore);
}

/** A dead engine's refusal, or no answer at all. */
function ignore(): void {
  return undefined;
}
