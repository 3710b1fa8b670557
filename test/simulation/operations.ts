/** What each operation does to the world. */
import type { VirtualAgent } from './world/agent.js';
import { keepaliveMs, latencyMs } from './world/network.js';
import type { Operator } from './world/operator.js';
import type { Supervisor } from './world/supervisor.js';
import type { World } from './world/world.js';
import type { Op, OpKind } from './input.js';

export interface Stage {
  readonly world: World;
  readonly supervisor: Supervisor;
  readonly agents: readonly VirtualAgent[];
  readonly operator: Operator;
  readonly situation: { skewMs: number; furthestSkewMs: number; accuracy: number; runs: number };
}

type Apply<K extends OpKind> = (op: Extract<Op, { op: K }>, stage: Stage) => void;

const table: { readonly [K in OpKind]: Apply<K> } = {
  advance: () => undefined,
  checkIn: ({ agent }, stage) => agentOf(stage, agent).up(),
  dropOut: ({ agent, silent }, stage) => agentOf(stage, agent).down(silent ? keepaliveMs : latencyMs(stage.world)),
  agentCrash: ({ agent, downMs }, stage) => {
    const crashed = agentOf(stage, agent);
    if (!crashed.isUp()) return;
    crashed.down(latencyMs(stage.world));
    stage.world.scheduler.after(downMs, `${crashed.id} starts again`, () => crashed.up());
  },
  report: ({ agent }, stage) => agentOf(stage, agent).reportAgain('newest'),
  reportTwice: ({ agent }, stage) => {
    agentOf(stage, agent).reportAgain('newest');
    agentOf(stage, agent).reportAgain('newest');
  },
  reportStale: ({ agent }, stage) => agentOf(stage, agent).reportAgain('older'),
  reportAnew: ({ agent }, stage) => agentOf(stage, agent).reportAgain('anew'),
  reportForged: ({ agent }, stage) => agentOf(stage, agent).reportAgain('forged'),
  poison: ({ agent, how }, stage) => agentOf(stage, agent).poison(how),
  trainingFails: ({ agent }, stage) => agentOf(stage, agent).poison('training-fails'),
  slow: ({ agent, factor }, stage) => agentOf(stage, agent).setSlow(factor),
  crash: (op, { world }) => world.faults.arm(op),
  storeFails: (op, { world }) => world.faults.arm(op),
  restart: ({ downMs }, { supervisor }) => supervisor.restart(downMs),
  freeze: ({ ms }, { supervisor }) => supervisor.freeze(ms),
  partition: ({ agent }, stage) => agentOf(stage, agent).cut(),
  heal: (_, { agents }) => {
    for (const agent of agents) agent.heal();
  },
  clockJump: ({ ms }, { situation }) => {
    situation.skewMs += ms;
    situation.furthestSkewMs = Math.max(situation.furthestSkewMs, Math.abs(situation.skewMs), Math.abs(ms));
  },
  diskFull: ({ ms }, { world }) => world.faults.fillDisk(world.scheduler.nowMs() + ms),
  evaluateWorse: ({ accuracy }, { situation }) => (situation.accuracy = accuracy),
  workFails: ({ work, times }, { world }) => world.faults.failWork(work, times),
  start: (_, { operator }) => operator.start(),
  stop: (_, { operator }) => operator.stop(),
  release: ({ agent }, stage) => stage.operator.release(agentOf(stage, agent).id),
};

/** Does the operation; answers how much time passes with it. */
export function applyOp(op: Op, stage: Stage): number {
  const apply = table[op.op] as Apply<OpKind>;
  apply(op, stage);
  return op.op === 'advance' ? op.ms : 0;
}

function agentOf({ agents }: Stage, index: number): VirtualAgent {
  const agent = agents[index % agents.length];
  if (agent === undefined) throw new Error(`there is no agent ${index}`);
  return agent;
}
