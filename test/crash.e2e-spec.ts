/** kill -9 of the coordinator, of an agent and of its trainer, in the middle of runs. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { programs, start, stop, until, type Running } from './support/commands.js';
import {
  coordinatorArguments,
  coordinatorProgram,
  openFederation,
  readReady,
  type Federation,
  type Round,
  type Run,
} from './support/federation.js';

interface Checkpoint {
  readonly round: number;
  readonly weightsHash: string;
}

const sites = ['lund', 'oslo', 'turku'];
const task = { name: 'rehearsal', parameters: 200_000, add: 0.001, rounds: 12, cohort: { min: 2, goal: 3, max: 3 } };

/** Processes that a process has started. */
async function childrenOf(pid: number): Promise<number[]> {
  const { stdout } = await promisify(execFile)('ps', ['-o', 'pid=', '--ppid', String(pid)]);
  return stdout
    .split('\n')
    .map(Number)
    .filter((child) => child > 0);
}

describe('a federation whose processes are killed', () => {
  let federation: Federation;
  let coordinator: Running;
  let undisturbed: Checkpoint[];

  const openRun = async (runId: string): Promise<Run | undefined> => {
    const run = await federation.call<Run>('GET', `/runs/${runId}`);
    return run.status === 'running' || run.status === 'waiting' ? run : undefined;
  };
  const untilOver = (runId: string): Promise<Run> =>
    until(
      `the end of run ${runId}`,
      async () => ((await openRun(runId)) === undefined ? federation.call<Run>('GET', `/runs/${runId}`) : undefined),
      120_000,
    );
  const checkpoints = (runId: string): Promise<Checkpoint[]> => federation.call('GET', `/runs/${runId}/checkpoints`);
  const startRun = async (): Promise<string> => {
    const { id: taskId } = await federation.call<{ id: string }>('GET', `/tasks/${task.name}`);
    return (await federation.call<{ id: string }>('POST', '/runs', { taskId, seed: 1 })).id;
  };

  beforeAll(async () => {
    federation = await openFederation();
    ({ coordinator } = federation);
    for (const site of sites) await federation.addAgent(site);
    await federation.untilConnected(sites.length);
    const runId = await federation.startProbe(task);
    await untilOver(runId);
    undisturbed = await checkpoints(runId);
  }, 120_000);

  afterAll(async () => {
    await stop(coordinator);
    await federation.close();
  });

  it('goes on with the same round after the coordinator was killed, and commits each round once, with the same weights', async () => {
    const runId = await startRun();
    for (const afterMs of [150, 700, 1300]) {
      await new Promise((done) => setTimeout(done, afterMs));
      if ((await openRun(runId)) === undefined) break;
      coordinator.process.kill('SIGKILL');
      await coordinator.exited;
      coordinator = start(coordinatorProgram, coordinatorArguments(federation.home));
      const { pid } = coordinator.process;
      await until('the coordinator', async () => {
        const ready = await readReady(federation.home, coordinator);
        return ready?.pid === pid ? ready : undefined;
      });
    }
    const run = await untilOver(runId);
    expect(run).toMatchObject({ status: 'completed', committedRounds: task.rounds });
    const rounds = await federation.call<Round[]>('GET', `/runs/${runId}/rounds`);
    expect(rounds.map(({ round, phase }) => `${round} ${phase}`)).toEqual(
      Array.from({ length: task.rounds }, (_, index) => `${index + 1} committed`),
    );
    expect(undisturbed.length).toBeGreaterThanOrEqual(task.rounds);
    expect((await checkpoints(runId)).map(({ round, weightsHash }) => `${round} ${weightsHash}`)).toEqual(
      undisturbed.map(({ round, weightsHash }) => `${round} ${weightsHash}`),
    );
  }, 180_000);

  it('closes the round without an agent that was killed, and takes it back when it returns', async () => {
    const runId = await startRun();
    const [agent] = federation.agents;
    agent?.process.kill('SIGKILL');
    await agent?.exited;
    await federation.untilCommitted(runId, 2);
    const again = start(programs.agent, ['start', '--dir', `${federation.directory}/${sites[0]}`]);
    try {
      await federation.untilConnected(sites.length);
      const run = await untilOver(runId);
      expect(run).toMatchObject({ status: 'completed', committedRounds: task.rounds });
      const rounds = await federation.call<Round[]>('GET', `/runs/${runId}/rounds`);
      const accepted = rounds.map(({ record }) => record.updates.accepted);
      expect(Math.min(...accepted)).toBeGreaterThanOrEqual(2);
      expect(accepted.at(-1)).toBe(3);
    } finally {
      await stop(again);
    }
  }, 180_000);

  it('survives the death of a trainer: the agent lives, and the run completes', async () => {
    const runId = await startRun();
    const agent = federation.agents[1];
    await federation.untilCommitted(runId, 1);
    const trainers = await childrenOf(agent?.process.pid ?? 0);
    expect(trainers.length).toBeGreaterThan(0);
    for (const pid of trainers) process.kill(pid, 'SIGKILL');
    const run = await untilOver(runId);
    expect(run).toMatchObject({ status: 'completed', committedRounds: task.rounds });
    expect(agent?.process.exitCode).toBeNull();
    const last = await federation.round(runId, task.rounds);
    expect(last.record.updates.accepted).toBeGreaterThanOrEqual(2);
  }, 180_000);
});
