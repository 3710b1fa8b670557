/**
 * The daemon: takes instructions, has them done, and delivers what came of them, whatever happens to the connection,
 * the trainer or the coordinator meanwhile. It holds nothing that a restart may not lose: finished reports lie in the outbox,
 * and the coordinator sends again what it still waits for.
 */
import { GraftError } from '@graft/core/error';
import type * as wire from '@graft/protos/messages';
import { roundTraceparent } from '@graft/protos/trace/round-trace.adapter';
import { inTrace } from '@graft/protos/trace/trace-scope.adapter';

import type { AgentContext } from '../jobs/agent-context.js';
import { messageOf } from '../output/output.js';
import type { Progress } from '../trainer/trainer-calls.js';
import { pause } from './connection.driver.js';
import type { Drained } from './drained.js';
import { startHeartbeat } from './heartbeat.driver.js';
import {
  cancel,
  emptyQueue,
  finish,
  isStale,
  offer,
  takeNext,
  type InstructionQueue,
  type Job,
  type Lane,
} from './instruction-queue.js';
import type { OutboxRecord } from './outbox.adapter.js';
import { isCancelled, ReportDelivery } from './report-delivery.driver.js';
import { attemptTwice, jobOf, perform, whyIgnored, type Work } from './work.driver.js';

/** How long a transfer in hand may hold up the end of the agent. */
const stopGraceMs = 30_000;

/** How long work that is ended may take to keep its checkpoint; then its trainer is killed. */
const checkpointGraceMs = 5_000;

export class Daemon {
  private queue: InstructionQueue<Work> = emptyQueue;
  private readonly aborts = new Map<string, AbortController>();
  /** Work in hand, each until its result lies in the outbox. */
  private readonly working = new Set<Promise<void>>();
  /** Work in hand that nobody wants any more: what comes of it is not reported. */
  private readonly unwanted = new Set<string>();
  private readonly ignored = new Set<string>();
  private isPaused = false;
  private draining = false;
  private stopping = false;
  /** Aborted when nothing may go on any more. */
  private readonly over = new AbortController();
  private readonly delivery: ReportDelivery;

  constructor(private readonly context: AgentContext) {
    this.delivery = new ReportDelivery(context, this.over.signal, () => {
      if (this.isIdle()) context.connection.leaveIfAsked();
    });
  }

  /** Takes up what a former process left. Call before the connection is opened. */
  async recover(): Promise<void> {
    await this.delivery.recover();
  }

  onConnected(): void {
    this.delivery.wake();
  }

  onInstruction(instruction: wire.Instruction): void {
    if (this.stopping || this.draining) return;
    const reason = whyIgnored(instruction);
    if (reason !== undefined) return this.ignore(instruction, reason);
    switch (instruction.kind) {
      case 'train':
      case 'evaluate':
      case 'install':
        return this.take(jobOf(instruction, this.context.config.tasks));
      case 'cancel':
        return this.cancelRound(instruction.cancel);
      default:
        return;
    }
  }

  /** While it is set no work begins; work in hand waits by itself, with a checkpoint. */
  setPaused(isPaused: boolean): void {
    this.isPaused = isPaused;
    if (!isPaused) this.pump();
  }

  /** Begins nothing new, lets the work in hand end and be reported within the limit, then stops. */
  async drain(limitMs: number): Promise<Drained> {
    this.draining = true;
    const { emit } = this.context;
    emit({ event: 'draining', limitMs, inHand: this.queue.inHand.length });
    const limit = AbortSignal.any([this.over.signal, AbortSignal.timeout(Math.min(limitMs, 2 ** 31 - 1))]);
    // Work that the site has paused would wait for ever: its checkpoint is on the disk.
    if (!this.isPaused) await Promise.race([this.finished(limit), pauseUntil(limit)]);
    const left = this.queue.inHand.map(({ kind, round }) => ({ kind, round }));
    await this.stop();
    return { left, undelivered: this.delivery.finished.size };
  }

  /** Ends the work in hand with its checkpoint, waits for the transfer in hand, then nothing goes on. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.delivery.stop();
    for (const abort of this.aborts.values()) abort.abort();
    await Promise.race([Promise.all(this.working), pause(checkpointGraceMs, this.over.signal)]);
    if (this.context.connection.now() !== undefined) {
      await Promise.race([this.transfersDone(), pause(stopGraceMs, this.over.signal)]);
    }
    this.over.abort();
    await this.delivery.idle();
  }

  /** Resolves when no report is being delivered. */
  async transfersDone(): Promise<void> {
    await this.delivery.idle();
  }

  /** True where nothing is in hand and nothing is left to report. */
  isIdle(): boolean {
    return this.queue.inHand.length + this.queue.pending.length === 0 && this.delivery.finished.size === 0;
  }

  /** Nothing is in hand, and what came of it has been delivered, as far as there is a connection. */
  private async finished(limit: AbortSignal): Promise<void> {
    while (this.working.size > 0 && !limit.aborted) await Promise.race([...this.working, pauseUntil(limit)]);
    // Not before: who takes no work is no member of the round in hand, and its update would not be waited for.
    await this.context.site.drain();
    while (this.delivery.finished.size > 0 && this.context.connection.now() !== undefined && !limit.aborted) {
      this.delivery.wake();
      await Promise.race([this.delivery.idle(), pauseUntil(limit)]);
      await pause(20, limit);
    }
  }

  /** Said once, however often it comes again. */
  private ignore({ id }: wire.Instruction, reason: string): void {
    const name = id.slice(0, 64);
    if (this.ignored.has(name)) return;
    if (this.ignored.size < 256) this.ignored.add(name);
    this.context.emit({ event: 'ignored', id: name, reason });
  }

  private take(job: Job<Work>): void {
    if (this.delivery.isSettled(job.id)) return;
    const { queue, decision, abort, dropped } = offer(this.queue, job, this.delivery.finished);
    this.queue = queue;
    const reason = `round ${job.round} of the run has begun`;
    for (const { id } of abort) this.giveUp(id);
    for (const stale of [...abort, ...dropped]) this.drop(stale, stale.kind === 'install' ? 'a newer release' : reason);
    if (decision === 'report-again') this.delivery.wake();
    if (decision !== 'queued') return;
    const { kind, runId: run, round, task, priority } = job;
    this.context.emit({ event: 'queued', kind, run, round, task, priority });
    void this.withdrawStale(job, reason);
    this.pump();
  }

  private drop({ kind, runId: run, round }: Pick<Job<Work>, 'kind' | 'runId' | 'round'>, reason: string): void {
    this.context.emit({ event: 'dropped', kind, run, round, reason });
  }

  private giveUp(id: string): void {
    this.unwanted.add(id);
    this.aborts.get(id)?.abort();
  }

  /** A finished update of a round that is over would be sent for nothing. */
  private async withdrawStale(job: Job<Work>, reason: string): Promise<void> {
    const isMeant = (record: OutboxRecord): boolean =>
      record.kind !== 'failure' &&
      !this.aborts.has(record.instructionId) &&
      isStale({ ...record, kind: kindOf(record) }, job);
    await this.delivery.withdraw(isMeant, (record) => this.drop({ ...record, kind: kindOf(record) }, reason));
  }

  private cancelRound({ runId, round, reason }: wire.Cancel): void {
    const { queue, abort, dropped } = cancel(this.queue, runId, round);
    this.queue = queue;
    for (const { id } of abort) this.giveUp(id);
    if (abort.length + dropped.length > 0) this.context.emit({ event: 'cancelled', run: runId, round, reason });
    void this.delivery.withdraw((record) => record.runId === runId && record.round === round);
  }

  private pump(): void {
    if (this.stopping || this.draining) return;
    for (const lane of ['work', 'install'] satisfies Lane[]) {
      if (lane === 'work' && this.isPaused) continue;
      for (;;) {
        const { queue, job } = takeNext(this.queue, lane, lane === 'work' ? this.context.config.parallelJobs : 1);
        this.queue = queue;
        if (job === undefined) break;
        const traceparent = roundTraceparent(job.runId, job.round);
        const working = inTrace(traceparent, () => this.perform(job)).finally(() => this.working.delete(working));
        this.working.add(working);
      }
    }
  }

  private async perform(job: Job<Work>): Promise<void> {
    const { outbox } = this.context;
    const abort = new AbortController();
    this.aborts.set(job.id, abort);
    try {
      const record = await this.resultOf(job, abort.signal);
      if (record !== undefined) await outbox.put(record);
      if (record === undefined || this.unwanted.has(job.id)) await outbox.remove(job.id);
      else this.delivery.add(job.id);
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
      this.unwanted.delete(job.id);
      this.queue = finish(this.queue, job.id);
      this.context.emit({ event: 'done', kind: job.kind, run: job.runId, round: job.round });
      this.pump();
    }
  }

  /** What is to be reported of a job; undefined where it was cancelled. Never rejects. */
  private async resultOf(job: Job<Work>, signal: AbortSignal): Promise<OutboxRecord | undefined> {
    const { emit } = this.context;
    const { runId: run, round, kind } = job;
    emit({ event: 'working', kind, run, round });
    const heartbeat = startHeartbeat(this.context, job, signal);
    const onProgress = (progress: Progress): void => {
      heartbeat.progress(progress);
      emit({ event: 'progress', run, round, ...progress });
    };
    try {
      return await attemptTwice(() => perform(this.context, job, { signal, onProgress }), signal);
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
}

/** Which instruction a report answers. */
function kindOf({ kind }: OutboxRecord): Job<Work>['kind'] {
  if (kind === 'installed') return 'install';
  return kind === 'evaluation' ? 'evaluate' : 'train';
}

function pauseUntil(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
