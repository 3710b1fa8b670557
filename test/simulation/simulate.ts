/** Runs one input: builds its world, does its operations, checks after each, and lets the world come to its end. */
import { random } from '../../core/src/random.js';
import { isOpen } from '../../coordinator/src/rounds/machine/state.js';
import { checkConduct } from './invariants/conduct.js';
import { checkContents } from './invariants/contents.js';
import { checkEnd, patienceMs } from './invariants/end.js';
import { createLedger } from './invariants/ledger.js';
import { checkPresence } from './invariants/presence.js';
import type { Input } from './input.js';
import { applyOp, type Stage } from './operations.js';
import { openSimulatedStore } from './stores/open-simulated-store.js';
import { createAgent } from './world/agent.js';
import { createFaults } from './world/faults.js';
import { createOperator } from './world/operator.js';
import { createScheduler } from './world/scheduler.js';
import { createSupervisor } from './world/supervisor.js';
import { contentsFor } from './world/tasks.js';
import { createTrace } from './world/trace.js';
import { Violation } from './world/violation.js';
import { virtualBlobs } from './world/weights.js';
import type { World } from './world/world.js';

export interface Outcome {
  /** Absent where everything held. */
  readonly failure?: { readonly invariant: string; readonly message: string; readonly trace: readonly string[] };
  readonly traceHash: string;
  readonly tasks: number;
  readonly virtualMs: number;
  readonly deaths: number;
  readonly roundsCommitted: number;
  readonly statuses: readonly string[];
  /** The weights of the last checkpoint of each run: its sums by round. */
  readonly sums: readonly (readonly number[])[];
  readonly calls: Readonly<Record<'store' | 'transport', number>>;
  readonly verdicts: Readonly<Record<string, number>>;
}

export async function simulate(input: Input): Promise<Outcome> {
  const stage = await createStage(input);
  const { world } = stage;
  const { scheduler, ledger, store, blobs, trace } = world;
  const startMs = scheduler.nowMs();
  try {
    await play(input, stage);
  } catch (error) {
    ledger.fail(error);
  }
  const contents = await store.contents();
  await store.close();
  const violation = ledger.violation();
  return {
    ...(violation && { failure: failureOf(violation, trace.last()) }),
    traceHash: trace.hash(),
    tasks: scheduler.count(),
    virtualMs: scheduler.nowMs() - startMs,
    deaths: stage.supervisor.deaths(),
    roundsCommitted: contents.checkpoints.length,
    statuses: contents.runs.map(({ run }) => run.machine.status),
    sums: contents.runs.map(({ run }) => blobs.weights(run.machine.base.weights.hash).sums),
    calls: world.faults.calls(),
    verdicts: ledger.verdicts(),
  };
}

async function createStage({ seed, config }: Input): Promise<Stage> {
  const chance = random(seed);
  const trace = createTrace();
  const scheduler = createScheduler(chance, trace);
  const blobs = virtualBlobs();
  const store = await openSimulatedStore(config, contentsFor(config, blobs), () => scheduler.nowMs());
  const situation = { skewMs: 0, furthestSkewMs: 0, accuracy: 0.9, runs: 0 };
  const agents: ReturnType<typeof createAgent>[] = [];
  const supervisor = createSupervisor(() => world, agents);
  const world: World = {
    config,
    chance,
    trace,
    scheduler,
    blobs,
    store,
    faults: createFaults(),
    ledger: createLedger(),
    newRunId: () => `run-${(situation.runs += 1)}`,
    skewMs: () => situation.skewMs,
    accuracy: () => situation.accuracy,
    coordinator: () => supervisor.current(),
    crash: (process, downMs) => supervisor.crash(process, downMs),
  };
  for (let index = 0; index < config.agents; index++) agents.push(createAgent(world, index));
  return { world, supervisor, agents, operator: createOperator(world), situation };
}

async function play(input: Input, stage: Stage): Promise<void> {
  const { world, supervisor, agents, operator } = stage;
  const { scheduler, ledger, store } = world;
  const check = async (): Promise<void> => {
    const violation = ledger.violation();
    if (violation !== undefined) throw violation;
    const contents = await store.contents();
    checkContents(contents, world);
    checkPresence(contents, world);
    checkConduct(contents, input);
  };
  supervisor.startLater(0);
  for (const agent of agents) agent.up();
  operator.start();
  for (const op of input.ops) {
    world.trace.add(JSON.stringify(op));
    const advanceMs = applyOp(op, stage);
    await scheduler.run(scheduler.nowMs() + advanceMs, () => ledger.violation() !== undefined);
    await check();
  }
  await calmDown(stage, check);
}

/** Every fault ends: from here on the run has to come to its end, in a time that its plan bounds. */
async function calmDown(stage: Stage, check: () => Promise<void>): Promise<void> {
  const { world, supervisor, agents, operator, situation } = stage;
  const { scheduler, faults, ledger, store, config } = world;
  faults.end();
  for (const agent of agents) {
    agent.heal();
    agent.setSlow(1);
    agent.poison(undefined);
    agent.up();
  }
  supervisor.startLater(1000);
  situation.accuracy = 0.9;
  const endMs = scheduler.nowMs() + patienceMs(config) + Math.max(0, -situation.skewMs) + situation.furthestSkewMs;
  // The end is looked for between stretches of time, not after each task: reading the rows takes longer than a task.
  for (let isOver = false; !isOver && scheduler.nowMs() < endMs;) {
    await scheduler.run(scheduler.nowMs() + 30_000, () => ledger.violation() !== undefined);
    await check();
    const { runs } = await store.contents();
    isOver = !operator.isBusy() && !supervisor.isBusy() && runs.every(({ run }) => !isOpen(run.machine));
  }
  await scheduler.run(scheduler.nowMs() + 120_000, () => ledger.violation() !== undefined);
  await check();
  checkEnd(await store.contents(), config);
}

function failureOf(error: Error, trace: readonly string[]): NonNullable<Outcome['failure']> {
  const invariant = error instanceof Violation ? error.invariant : 'nothing throws';
  return { invariant, message: error instanceof Violation ? error.message : String(error.stack), trace };
}
