/** The operator: starts runs until one is there, stops them, and lets agents back. */
import { request, type Link } from './network.js';
import { taskId } from './tasks.js';
import type { World } from './world.js';

export interface Operator {
  /** True while a run that it asked for is not there yet. */
  isBusy(): boolean;
  start(): void;
  /** Stops the newest run that is open. */
  stop(): void;
  /** Lets an agent back that is in quarantine; its run is told where a coordinator hears of it. */
  release(agentId: string): void;
}

const retryMs = 3000;

export function createOperator(world: World): Operator {
  const link: Link = { cut: false };
  const { scheduler, ledger, store, config } = world;
  let started = 0;
  let asked = 0;

  async function start(): Promise<void> {
    const seed = (started += 1);
    const before = (await store.contents()).runs.length;
    // The answer may be lost: whether there is a run tells what became of the question.
    while ((await store.contents()).runs.length === before) {
      const call = request(world, link, 'operator starts', ({ rounds }) =>
        rounds.start(taskId, { seed, rounds: config.rounds }),
      );
      await call.catch(() => new Promise<void>((resolve) => scheduler.after(retryMs, 'operator waits', resolve)));
    }
  }

  async function stop(): Promise<void> {
    const runId = (await store.contents()).runs.at(-1)?.runId;
    if (runId === undefined) return;
    try {
      await request(world, link, 'operator stops', ({ rounds }) => rounds.stop(runId, 'enough'));
      ledger.stopped(runId);
    } catch {
      // It is not known to be stopped, and nothing is promised.
    }
  }

  async function release(agentId: string): Promise<void> {
    try {
      await request(world, link, 'operator releases', async ({ hub, rounds }) => {
        if (!(await store.release(agentId, scheduler.nowMs() + world.skewMs()))) return;
        if (hub.online().get(agentId)?.paused === '') await rounds.agentConnected(agentId);
      });
    } catch {
      // Its time ends by itself.
    }
  }

  const noted = (work: Promise<void>): void => void work.catch((error: unknown) => ledger.fail(error));
  return {
    isBusy: () => asked > 0,
    start: () => {
      asked += 1;
      noted(start().finally(() => (asked -= 1)));
    },
    stop: () => noted(stop()),
    release: (agentId) => noted(release(agentId)),
  };
}
