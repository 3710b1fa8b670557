/**
 * A virtual agent: comes back when its stream is lost, works on an instruction once, keeps what it sealed, and reports until
 * it is heard. What it trains is its digit (weights.ts).
 */
import { encodeUpdateManifest } from '../../../protos/src/message-codec.adapter.js';
import type { Instruction, TrainPlan } from '../../../protos/src/messages.js';
import type { Verdict } from '../../../coordinator/src/rounds/rounds.js';
import { agentId, type Poison } from '../input.js';
import { openConnection, type AgentConnection } from './agent-connection.js';
import { keepaliveMs, latencyMs, request, type Link } from './network.js';
import { signVirtually } from './signature.js';
import { layoutHash, parameterCount, type SealedDelta } from './weights.js';
import { measuresAt } from './work.js';
import type { World } from './world.js';

export interface VirtualAgent {
  readonly id: string;
  isUp(): boolean;
  up(): void;
  /** @param noticeMs when the coordinator learns of it */
  down(noticeMs: number): void;
  cut(): void;
  heal(): void;
  processDied(process: unknown): void;
  setSlow(factor: number): void;
  poison(how: Poison | 'training-fails' | undefined): void;
  /** Sends the newest sealed update again, an older one, or a new one of the same round. */
  reportAgain(which: 'newest' | 'older' | 'anew' | 'forged'): void;
}

interface Sealed {
  readonly delta: SealedDelta;
  readonly plan: TrainPlan;
  readonly manifest: Uint8Array;
  readonly signature: Uint8Array;
  uploaded: boolean;
  /** Says once that it is uploaded, and is not. */
  lies: boolean;
}

interface Job {
  cancelled: boolean;
  readonly runId: string;
  readonly round: number;
}

const retryMs = 2000;
const heartbeatMs = 5000;

export function createAgent(world: World, index: number): VirtualAgent {
  const { scheduler, chance, config, blobs, faults, ledger } = world;
  const id = agentId(index);
  const link: Link = { cut: false };
  /** On its disk. */
  const sealed = new Map<string, Sealed>();
  const history: Sealed[] = [];
  let sealings = 0;
  /** In its memory: gone when the process ends. */
  let life = 0;
  let jobs = new Map<string, Job>();
  /** The stream, where it has one. */
  const connections: AgentConnection[] = [];
  let slow = 1;
  let nextPoison: Poison | 'training-fails' | undefined;

  /** Resolves in this life only. */
  function sleep(ms: number): Promise<void> {
    const mine = life;
    return new Promise((resolve) => {
      scheduler.after(ms, `${id} wakes`, () => {
        if (mine === life) resolve();
      });
    });
  }

  async function stayConnected(): Promise<void> {
    const mine = life;
    const isMine = (): boolean => mine === life;
    while (isMine()) {
      await sleep(1 + chance.below(1000));
      const process = world.coordinator();
      if (link.cut || process === undefined || !process.isOpen()) continue;
      await new Promise<void>((resolve) => {
        const opened = openConnection(world, { agentId: id, link }, process, {
          received: (instruction) => {
            if (mine === life) receive(instruction);
          },
          closed: () => {
            if (mine === life) resolve();
          },
        });
        connections.push(opened);
      });
      connections.length = 0;
    }
  }

  function receive(instruction: Instruction): void {
    if (instruction.kind === 'cancel') {
      const { runId, round } = instruction.cancel;
      for (const job of jobs.values()) if (job.runId === runId && job.round === round) job.cancelled = true;
      return;
    }
    if (instruction.kind === 'train')
      begin(instruction.id, instruction.train, (job) => train(instruction.id, instruction.train, job));
    if (instruction.kind === 'evaluate') {
      begin(instruction.id, instruction.evaluate, (job) => evaluate(instruction, job));
    }
    if (instruction.kind === 'install') {
      begin(instruction.id, { runId: '', round: 0 }, async (job) => {
        await insist(job, 'reportInstalled', ({ rounds }) =>
          rounds.reportInstalled(id, { instructionId: instruction.id, releaseId: '' }),
        );
      });
    }
  }

  /** An instruction that comes again while it is worked on changes nothing; one that is done is reported again. */
  function begin(
    instructionId: string,
    { runId, round }: { runId: string; round: number },
    work: (job: Job) => Promise<void>,
  ): void {
    if (jobs.get(instructionId)?.cancelled === false) return;
    const job: Job = { runId, round, cancelled: false };
    jobs.set(instructionId, job);
    const mine = life;
    work(job)
      .catch((error: unknown) => ledger.fail(error))
      .finally(() => {
        if (mine === life && jobs.get(instructionId) === job) jobs.delete(instructionId);
      });
  }

  /** Asks until there is an answer, or the job is cancelled. */
  async function insist<T>(job: Job, label: string, call: Parameters<typeof request<T>>[3]): Promise<T | undefined> {
    const mine = life;
    const isMine = (): boolean => mine === life;
    while (isMine() && !job.cancelled) {
      try {
        const value = await request(world, link, `${id} ${label}`, call);
        return isMine() ? value : await new Promise<never>(() => undefined);
      } catch {
        await sleep(retryMs + chance.below(retryMs));
      }
    }
    return undefined;
  }

  async function train(instructionId: string, plan: TrainPlan, job: Job): Promise<void> {
    const { runId, round } = plan;
    const work = `${runId}/${round}/${plan.base?.hash ?? ''}`;
    if (nextPoison === 'training-fails') {
      nextPoison = undefined;
      const failure = { instructionId, runId, round, code: 'DATA_NOT_FOUND', message: 'no such folder' };
      await insist(job, 'reportFailure', ({ rounds }) => rounds.reportFailure(id, failure));
      return;
    }
    let kept = sealed.get(work);
    if (kept === undefined) {
      for (let left = config.trainMs * slow * (0.5 + chance.next()); left > 0; left -= heartbeatMs) {
        await sleep(Math.min(left, heartbeatMs));
        if (job.cancelled) return;
        heartbeat(plan, 1 - left / (config.trainMs * slow * 2));
      }
      kept = seal(plan);
      sealed.set(work, kept);
    }
    await deliver(kept, job);
  }

  function heartbeat({ runId, round }: TrainPlan, progress: number): void {
    const beat = { runId, round, activity: 'training', progress, loss: 1, paused: '' };
    request(world, link, `${id} heartbeat`, async ({ rounds }) => rounds.progress(id, beat)).catch(() => undefined);
  }

  /** Uploads and reports until there is a verdict on the whole. */
  async function deliver(update: Sealed, job: Job): Promise<void> {
    while (!job.cancelled) {
      if (!update.uploaded) await upload(update, job);
      const verdict = await report(update, job);
      if (verdict?.reason !== 'incomplete') return;
      update.uploaded = false;
      await sleep(retryMs);
    }
  }

  async function upload(update: Sealed, job: Job): Promise<void> {
    const { lies } = update;
    update.lies = false;
    if (!lies) {
      await insist(job, 'upload', async () => {
        if (faults.diskIsFull(scheduler.nowMs())) throw new Error('no space left on device');
        blobs.store(update.delta);
      });
    }
    update.uploaded = true;
  }

  async function report({ delta, manifest, signature }: Sealed, job: Job): Promise<Verdict | undefined> {
    return insist(job, 'reportUpdate', async (process) => {
      const verdict = await process.rounds.reportUpdate(id, manifest, signature);
      if (process.isAlive()) ledger.answered(delta, verdict);
      return verdict;
    });
  }

  function seal(plan: TrainPlan): Sealed {
    const how = nextPoison === 'training-fails' ? undefined : nextPoison;
    nextPoison = undefined;
    const { taskId, runId, round } = plan;
    const sessionNonce = new Uint8Array(16).fill(index + 1);
    new DataView(sessionNonce.buffer).setUint32(0, (sealings += 1));
    const baseHash = how === 'stale-base' ? '0'.repeat(64) : (plan.base?.hash ?? '');
    const nonce = Buffer.from(sessionNonce).toString('hex');
    const delta: SealedDelta = {
      kind: 'delta',
      agent: index,
      runId,
      round,
      baseHash,
      nonce,
      ...(how !== undefined && how !== 'incomplete' && { poison: how }),
    };
    const manifest = encodeUpdateManifest({
      taskId,
      runId,
      round,
      agentId: id,
      baseHash,
      parameterCount,
      sessionNonce,
      layoutHash: how === 'layout' ? '2'.repeat(64) : layoutHash,
      exampleCount: how === 'examples' ? 0 : 10,
      ciphertext: blobs.refOf(delta),
      boxedKey: new Uint8Array(48),
      boxedKeyNonce: new Uint8Array(24),
      ephemeralKey: new Uint8Array(32),
      training: {
        loss: 0.5,
        initialLoss: 1,
        steps: 1,
        epochs: 1,
        trainMs: 1,
        featureMs: 1,
        trunkRanges: [],
        tailRanges: [],
      },
    });
    const update = {
      delta,
      plan,
      manifest,
      signature: signVirtually(id, manifest),
      uploaded: false,
      lies: how === 'incomplete',
    };
    history.push(update);
    return update;
  }

  async function evaluate(
    { id: instructionId, evaluate: plan }: Extract<Instruction, { kind: 'evaluate' }>,
    job: Job,
  ): Promise<void> {
    const { runId, round } = plan;
    await sleep((config.trainMs * slow) / 4);
    const fp32 = measuresAt(world.accuracy(), 10);
    const int8 = plan.int8 ? fp32 : null;
    await insist(job, 'reportEvaluation', ({ rounds }) =>
      rounds.reportEvaluation(id, { instructionId, runId, round, fp32, int8, klSum: 0.1 }),
    );
  }

  let isUp = false;
  function down(noticeMs: number): void {
    isUp = false;
    life += 1;
    jobs = new Map();
    connections.splice(0).forEach((open) => open.drop(noticeMs));
  }

  return {
    id,
    isUp: () => isUp,
    up: () => {
      if (isUp) return;
      isUp = true;
      life += 1;
      stayConnected().catch((error: unknown) => ledger.fail(error));
    },
    down,
    cut: () => {
      link.cut = true;
      const [cut] = connections;
      scheduler.after(keepaliveMs, `${id} checks its stream`, () => cut?.checkAlive());
    },
    heal: () => void (link.cut = false),
    processDied: (process) => {
      for (const open of connections) if (open.process === process) open.processDied();
    },
    setSlow: (factor) => (slow = factor),
    poison: (how) => (nextPoison = how),
    reportAgain: (which) => {
      const update = which === 'older' ? history.at(-2) : history.at(-1);
      if (update === undefined || !isUp) return;
      const job = { cancelled: false, runId: '', round: 0 };
      scheduler.after(latencyMs(world), `${id} reports again`, async () => {
        // Not insisted on: it may be refused, and nobody waits for it.
        scheduler.after(60_000, `${id} gives up`, () => void (job.cancelled = true));
        if (which === 'forged') void report({ ...update, signature: new Uint8Array(64) }, job);
        else if (which === 'anew') void deliver(seal(update.plan), job);
        else void report(update, job);
      });
    },
  };
}
