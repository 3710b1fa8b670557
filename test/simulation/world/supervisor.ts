/** Who starts coordinators: again after a crash, a stop or a failed start, and in the place of one that stands still. */
import type { VirtualAgent } from './agent.js';
import { createProcess, type CoordinatorProcess } from './coordinator-process.js';
import type { World } from './world.js';

export interface Supervisor {
  current(): CoordinatorProcess | undefined;
  /** Starts a coordinator after a while, unless one is there. */
  startLater(delayMs: number): void;
  crash(process: CoordinatorProcess, downMs: number): void;
  /** As on SIGTERM, and a new one after `downMs`. */
  restart(downMs: number): void;
  freeze(ms: number): void;
  /** True while a coordinator that stood still, or what it may have begun, is still to be dealt with. */
  isBusy(): boolean;
  /** Times that a coordinator died or was stopped. */
  deaths(): number;
}

const failedStartMs = 1000;
/** A process that does not end by itself is killed. */
const graceMs = 30_000;
/** A stand-by waits until the leases of the frozen one have ended. */
const takeoverMs = 31_000;

export function createSupervisor(world: () => World, agents: readonly VirtualAgent[]): Supervisor {
  let current: CoordinatorProcess | undefined;
  let owner = 0;
  let deaths = 0;
  let frozenOnes = 0;

  function start(): void {
    if (current?.isAlive() === true) return;
    const process = createProcess(world(), ownerName(), () => {
      deaths += 1;
      if (current === process) current = undefined;
      for (const agent of agents) agent.processDied(process);
    });
    current = process;
    process.begin().catch(() => {
      // As the program does: it ends, and is started again.
      process.die();
      startLater(failedStartMs);
    });
  }

  /** A coordinator that comes back takes leases in its old name; a stand-by has a name of its own. */
  function ownerName(): string {
    return `coordinator-${owner}`;
  }

  function startLater(delayMs: number): void {
    world().scheduler.after(delayMs, 'a coordinator starts', start);
  }

  function crash(process: CoordinatorProcess, downMs: number): void {
    process.die();
    startLater(downMs);
  }

  function restart(downMs: number): void {
    const process = current;
    if (process === undefined || !process.isOpen()) return;
    const end = (): void => {
      if (process.isAlive()) crash(process, downMs);
    };
    world().scheduler.after(graceMs, 'a stop takes too long', end);
    void process.hub
      .drain(1000)
      .then(async () => process.rounds.shutdown())
      .then(end, end);
  }

  function lookAgain(): void {
    if (current?.isOpen() !== true) {
      world().scheduler.after(failedStartMs, 'nobody can look again yet', lookAgain);
      return;
    }
    frozenOnes -= 1;
    restart(0);
  }

  return {
    current: () => current,
    isBusy: () => frozenOnes > 0,
    restart,
    startLater,
    crash,
    deaths: () => deaths,
    freeze: (ms) => {
      const frozen = current;
      if (frozen === undefined) return;
      const { scheduler } = world();
      frozen.freeze(scheduler.nowMs() + ms);
      if (ms <= takeoverMs) return;
      scheduler.after(takeoverMs, 'a stand-by starts', () => {
        if (current !== frozen) return;
        current = undefined;
        owner += 1;
        start();
      });
      frozenOnes += 1;
      // It wakes, finds that its runs are gone, and is stopped by whoever started the stand-by.
      scheduler.after(ms + graceMs, 'the frozen one is stopped', () => frozen.die());
      // A run that it began in between is found by who looks again once its lease has ended.
      scheduler.after(ms + graceMs + takeoverMs, 'the stand-by looks again', lookAgain);
    },
  };
}
