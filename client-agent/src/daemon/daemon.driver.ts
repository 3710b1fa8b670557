/**
 * The daemon: takes instructions, has them done, and delivers what came of them, whatever happens to the connection,
 * the trainer or the coordinator meanwhile. It holds nothing that a restart may not lose: finished reports lie in the outbox,
 * and the coordinator sends again what it still waits for.
 */
import { GraftError } from '@graft/core/error';
import type * as wire from '@graft/protos/messages';

import type { AgentContext, JobControl } from '../jobs/agent-context.js';
import { deliver, outcomeOf } from '../jobs/deliver.driver.js';
import { evaluate } from '../jobs/evaluate-job.driver.js';
import { install } from '../jobs/install-job.driver.js';
import { train } from '../jobs/train-job.driver.js';
import { messageOf } from '../output/output.js';
import type { Progress } from '../trainer/trainer-calls.js';
import { isCallError, isTransient } from './call-errors.js';
import { cancelled, pause } from './connection.driver.js';
import { startHeartbeat } from './heartbeat.driver.js';
import {
  cancel,
  emptyQueue,
  finish,
  offer,
  takeNext,
  type InstructionQueue,
  type Job,
  type Lane,
} from './instruction-queue.js';
import type { OutboxRecord } from './outbox.adapter.js';

type Work = Extract<wire.Instruction, { kind: 'train' | 'evaluate' | 'install' }>;

/** How long a transfer in hand may hold up the end of the agent. */
const stopGraceMs = 30_000;

/** Answered instructions that are remembered: more than can be on their way at once. */
const rememberedIds = 256;

export class Daemon {
  private queue: InstructionQueue<Work> = emptyQueue;
  private readonly aborts = new Map<string, AbortController>();
  /** Ids whose results lie in the outbox. */
  private readonly finished = new Set<string>();
  /** Ids that the coordinator has answered; one may still come on a stream that was opened before the answer. */
  private readonly settled = new Set<string>();
  private delivering: Promise<void> | undefined;
  private deliverAgain = false;
  /** The instruction whose report is being delivered. */
  private inDelivery: string | undefined;
  /** Why a report could not be delivered so far: said once. */
  private readonly problems = new Map<string, string>();
  private stopping = false;
  /** Aborted when nothing may go on any more. */
  private readonly over = new AbortController();

  constructor(private readonly context: AgentContext) {}

  /** Takes up what a former process left. Call before the connection is opened. */
  async recover(): Promise<void> {
    for (const { instructionId } of await this.context.outbox.recover()) this.finished.add(instructionId);
  }

  onConnected(): void {
    this.wakeDelivery();
  }

  onInstruction(instruction: wire.Instruction): void {
    if (this.stopping) return;
    switch (instruction.kind) {
      case 'train':
      case 'evaluate':
      case 'install':
        return this.take(jobOf(instruction));
      case 'cancel':
        return this.cancelRound(instruction.cancel);
      case 'welcome':
      case 'drain':
      case undefined:
        return;
    }
  }

  /** Ends the work in hand, waits for the transfer in hand, then nothing goes on. */
  async stop(): Promise<void> {
    this.stopping = true;
    for (const abort of this.aborts.values()) abort.abort();
    if (this.context.connection.now() !== undefined) {
      await Promise.race([this.transfersDone(), pause(stopGraceMs, this.over.signal)]);
    }
    this.over.abort();
    await this.delivering;
  }

  /** Resolves when no report is being delivered. */
  async transfersDone(): Promise<void> {
    await this.delivering;
  }

  private take(job: Job<Work>): void {
    if (this.settled.has(job.id)) return;
    const { queue, decision, abort } = offer(this.queue, job, this.finished);
    this.queue = queue;
    for (const { id } of abort) this.aborts.get(id)?.abort();
    if (decision === 'report-again') this.wakeDelivery();
    if (decision === 'queued') this.pump();
  }

  private cancelRound({ runId, round, reason }: wire.Cancel): void {
    const { queue, abort } = cancel(this.queue, runId, round);
    this.queue = queue;
    for (const { id } of abort) this.aborts.get(id)?.abort();
    if (abort.length > 0) this.context.emit({ event: 'cancelled', run: runId, round, reason });
    void this.withdraw(runId, round);
  }

  /** Reports of a cancelled round are not wanted any more, but one that is being delivered gets its verdict. */
  private async withdraw(runId: string, round: number): Promise<void> {
    for (const record of await this.context.outbox.list()) {
      const isMeant = record.runId === runId && record.round === round && record.kind !== 'installed';
      if (isMeant && record.instructionId !== this.inDelivery) await this.settle(record);
    }
  }

  private pump(): void {
    if (this.stopping) return;
    for (const lane of ['work', 'install'] satisfies Lane[]) {
      const { queue, job } = takeNext(this.queue, lane);
      this.queue = queue;
      if (job !== undefined) void this.perform(job);
    }
  }

  private async perform(job: Job<Work>): Promise<void> {
    const { outbox } = this.context;
    const abort = new AbortController();
    this.aborts.set(job.id, abort);
    try {
      const record = await this.resultOf(job, abort.signal);
      if (record !== undefined) {
        await outbox.put(record);
        this.finished.add(job.id);
        this.wakeDelivery();
      } else {
        await outbox.remove(job.id);
      }
    } catch (error) {
      this.context.emit({
        event: 'failed',
        run: job.runId,
        round: job.round,
        code: 'INTERNAL',
        message: messageOf(error),
      });
    } finally {
      this.aborts.delete(job.id);
      this.queue = finish(this.queue, job.id);
      this.context.emit({ event: 'done', kind: job.kind, run: job.runId, round: job.round });
      this.pump();
    }
  }

  /** What is to be reported of a job; undefined where it was cancelled. Never rejects. */
  private async resultOf(job: Job<Work>, signal: AbortSignal): Promise<OutboxRecord | undefined> {
    const { emit } = this.context;
    const { runId: run, round, kind } = job;
    const heartbeat = startHeartbeat(this.context, job, signal);
    const onProgress = (progress: Progress): void => {
      heartbeat.progress(progress);
      emit({ event: 'progress', run, round, ...progress });
    };
    emit({ event: 'working', kind, run, round });
    try {
      return await attemptTwice(() => perform(this.context, job.body, { signal, onProgress }), signal);
    } catch (error) {
      if (signal.aborted || isCancelled(error)) return undefined;
      const code = error instanceof GraftError ? error.code : 'INTERNAL';
      const message = messageOf(error);
      emit({ event: 'failed', run, round, code, message });
      return {
        kind: 'failure',
        instructionId: job.id,
        runId: job.runId,
        round,
        atMs: this.context.nowMs(),
        code,
        message: message.slice(0, 1_000),
      };
    } finally {
      await heartbeat.end();
    }
  }

  private wakeDelivery(): void {
    this.deliverAgain = true;
    this.delivering ??= this.deliverAll().finally(() => {
      this.delivering = undefined;
      if (this.deliverAgain && !this.stopping) this.wakeDelivery();
    });
  }

  /**
   * Delivers the outbox, oldest first, until it is empty; waits for a connection where there is none.
   * A report that cannot be delivered now does not hold up the ones behind it.
   */
  private async deliverAll(): Promise<void> {
    const { outbox, connection } = this.context;
    const { signal } = this.over;
    for (let failures = 0; !signal.aborted && !this.stopping;) {
      this.deliverAgain = false;
      let isLeft = false;
      for (const { instructionId } of await outbox.list()) {
        if (signal.aborted || this.stopping) return;
        if (!(await this.deliverOne(instructionId, signal))) isLeft = true;
      }
      if (!isLeft && !this.deliverAgain) return;
      failures = isLeft ? failures + 1 : 0;
      if (isLeft) await connection.backOff(failures, signal);
    }
  }

  /** One attempt. False where the report must be tried again. */
  private async deliverOne(instructionId: string, signal: AbortSignal): Promise<boolean> {
    const { outbox, connection, emit } = this.context;
    const record = await outbox.get(instructionId);
    if (record === undefined) return true;
    const { runId: run, round } = record;
    const onProgress = (progress: Progress): void => emit({ event: 'progress', run, round, ...progress });
    try {
      const client = await connection.client(signal);
      this.inDelivery = instructionId;
      const verdict = await deliver(this.context, client, record, { signal, onProgress });
      // The coordinator lacks the bytes, as after a restart before it sent the plan again: they are still here.
      if (verdict.reason === 'incomplete') return false;
      await this.settle(record);
      this.remember(instructionId);
      const event = outcomeOf(record, verdict);
      if (event !== undefined) emit(event);
      return true;
    } catch (error) {
      if (signal.aborted || isCancelled(error) || isRefusedIdentity(error)) return false;
      const message = messageOf(error);
      if (isTransient(error)) {
        if (connection.now() !== undefined && this.problems.get(instructionId) !== message) {
          this.problems.set(instructionId, message);
          emit({ event: 'delivery-problem', run, round, message });
        }
        return false;
      }
      emit({ event: 'failed', run, round, code: 'INTERNAL', message: `the report cannot be delivered: ${message}` });
      await this.settle(record);
      return true;
    } finally {
      this.inDelivery = undefined;
    }
  }

  private async settle({ instructionId }: OutboxRecord): Promise<void> {
    await this.context.outbox.remove(instructionId);
    this.finished.delete(instructionId);
    this.problems.delete(instructionId);
  }

  private remember(id: string): void {
    this.settled.add(id);
    const [oldest] = this.settled;
    if (this.settled.size > rememberedIds && oldest !== undefined) this.settled.delete(oldest);
  }
}

function jobOf(instruction: Work): Job<Work> {
  const { id, kind } = instruction;
  switch (kind) {
    case 'train':
      return { id, kind, runId: instruction.train.runId, round: instruction.train.round, body: instruction };
    case 'evaluate':
      return { id, kind, runId: instruction.evaluate.runId, round: instruction.evaluate.round, body: instruction };
    default:
      return { id, kind, runId: '', round: 0, body: instruction };
  }
}

function perform(context: AgentContext, instruction: Work, control: JobControl): Promise<OutboxRecord> {
  const { id } = instruction;
  switch (instruction.kind) {
    case 'train':
      return train(context, { id, plan: instruction.train }, control);
    case 'evaluate':
      return evaluate(context, { id, plan: instruction.evaluate }, control);
    default:
      return install(context, { id, release: instruction.install }, control);
  }
}

/** A trainer that died is replaced once; a second death is the job's. */
async function attemptTwice<Result>(work: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (signal.aborted) throw cancelled();
    if (!(error instanceof GraftError && error.code === 'TRAINER_FAILED')) throw error;
    return work();
  }
}

function isCancelled(error: unknown): boolean {
  return error instanceof GraftError && error.code === 'CANCELLED';
}

/** The connection itself will fail with this, and end the agent; the report stays. */
function isRefusedIdentity(error: unknown): boolean {
  return isCallError(error) && (error.code === 7 || error.code === 16);
}
