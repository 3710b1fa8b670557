/**
 * Brings finished reports from the outbox to the coordinator, oldest first, over as many connections as it takes. What lies
 * in the outbox is done: it is delivered again after any crash, never worked on again.
 */
import type * as wire from '@graft/protos/messages';
import { GraftError } from '@graft/core/error';

import type { AgentContext } from '../jobs/agent-context.js';
import { roundTraceparent } from '@graft/protos/trace/round-trace.adapter';
import { inTrace } from '@graft/protos/trace/trace-scope.adapter';

import { deliver, outcomeOf } from '../jobs/deliver.driver.js';
import { messageOf } from '../output/output.js';
import type { Progress } from '../trainer/trainer-calls.js';
import { isCallError, isTransient } from './call-errors.js';
import type { OutboxRecord } from './outbox.adapter.js';

/** Answered instructions that are remembered: more than can be on their way at once. */
const rememberedIds = 256;

export class ReportDelivery {
  /** Ids whose results lie in the outbox. */
  readonly finished = new Set<string>();
  /** Ids that the coordinator has answered; one may still come on a stream that was opened before the answer. */
  private readonly settled = new Set<string>();
  private delivering: Promise<void> | undefined;
  private again = false;
  /** The instruction whose report is being delivered. */
  private inDelivery: string | undefined;
  /** Why a report could not be delivered so far: said once. */
  private readonly problems = new Map<string, string>();
  /** Reports in delivery that nobody wants any more, and who is to hear when they are given up. */
  private readonly unwanted = new Map<string, (record: OutboxRecord) => void>();
  private stopping = false;

  /**
   * @param over aborted when nothing may go on any more
   * @param onEmpty called when every report has been delivered
   */
  constructor(
    private readonly context: AgentContext,
    private readonly over: AbortSignal,
    private readonly onEmpty: () => void,
  ) {}

  /** Takes up what a former process left. */
  async recover(): Promise<void> {
    for (const { instructionId } of await this.context.outbox.recover()) this.finished.add(instructionId);
  }

  /** Whether the coordinator has answered this one already. */
  isSettled(id: string): boolean {
    return this.settled.has(id);
  }

  /** A report lies in the outbox. */
  add(id: string): void {
    this.finished.add(id);
    this.wake();
  }

  wake(): void {
    this.again = true;
    this.delivering ??= this.deliverAll().finally(() => {
      this.delivering = undefined;
      if (this.again && !this.stopping) this.wake();
      else if (this.finished.size === 0) this.onEmpty();
    });
  }

  /** Begins no other delivery; the one in hand goes on. */
  stop(): void {
    this.stopping = true;
  }

  /** Resolves when no report is being delivered. */
  async idle(): Promise<void> {
    await this.delivering;
  }

  /** Removes reports that nobody wants any more; one that is being delivered gets its verdict, or is removed when that fails. */
  async withdraw(
    isMeant: (record: OutboxRecord) => boolean,
    onWithdrawn: (record: OutboxRecord) => void = () => undefined,
  ): Promise<void> {
    for (const record of await this.context.outbox.list()) {
      if (record.kind === 'installed' || !isMeant(record)) continue;
      if (record.instructionId === this.inDelivery) {
        this.unwanted.set(record.instructionId, onWithdrawn);
        continue;
      }
      await this.settle(record);
      onWithdrawn(record);
    }
  }

  /** Until the outbox is empty; a report that cannot be delivered now does not hold up the ones behind it. */
  private async deliverAll(): Promise<void> {
    const { outbox, connection } = this.context;
    for (let failures = 0; !this.isOver();) {
      this.again = false;
      let isLeft = false;
      for (const { instructionId } of await outbox.list()) {
        if (this.isOver()) return;
        if (!(await this.deliverOne(instructionId))) isLeft = true;
      }
      if (!isLeft && !this.again) return;
      failures = isLeft ? failures + 1 : 0;
      if (isLeft) await connection.backOff(failures, this.over);
    }
  }

  private isOver(): boolean {
    return this.over.aborted || this.stopping;
  }

  /** One attempt. False where the report must be tried again. */
  private async deliverOne(instructionId: string): Promise<boolean> {
    const { outbox, connection, emit } = this.context;
    const record = await outbox.get(instructionId);
    if (record === undefined) return true;
    const { runId: run, round } = record;
    const onProgress = (progress: Progress): void => emit({ event: 'progress', run, round, ...progress });
    try {
      const client = await connection.client(this.over);
      this.inDelivery = instructionId;
      const verdict = await inTrace(roundTraceparent(record.runId, record.round), () =>
        deliver(this.context, client, record, { signal: this.over, onProgress }),
      );
      // The coordinator lacks the bytes, as after a restart before it sent the plan again: they are still here.
      if (verdict.reason === 'incomplete') return false;
      await this.noteVerdict(record, verdict);
      return true;
    } catch (error) {
      return this.failed(record, error);
    } finally {
      this.inDelivery = undefined;
    }
  }

  private async noteVerdict(record: OutboxRecord, verdict: wire.Verdict): Promise<void> {
    await this.settle(record);
    this.remember(record.instructionId);
    const event = outcomeOf(record, verdict);
    if (event !== undefined) this.context.emit(event);
  }

  /** False where the report stays in the outbox. */
  private async failed(record: OutboxRecord, error: unknown): Promise<boolean> {
    const { connection, emit } = this.context;
    const { instructionId, runId: run, round } = record;
    if (this.over.aborted || isCancelled(error) || isRefusedIdentity(error)) return false;
    const message = messageOf(error);
    const onWithdrawn = this.unwanted.get(instructionId);
    if (onWithdrawn !== undefined) {
      await this.settle(record);
      onWithdrawn(record);
      return true;
    }
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
  }

  private async settle({ instructionId }: OutboxRecord): Promise<void> {
    await this.context.outbox.remove(instructionId);
    this.finished.delete(instructionId);
    this.problems.delete(instructionId);
    this.unwanted.delete(instructionId);
  }

  private remember(id: string): void {
    this.settled.add(id);
    const [oldest] = this.settled;
    if (this.settled.size > rememberedIds && oldest !== undefined) this.settled.delete(oldest);
  }
}

export function isCancelled(error: unknown): boolean {
  return error instanceof GraftError && error.code === 'CANCELLED';
}

/** The connection itself will fail with this, and end the agent; the report stays. */
function isRefusedIdentity(error: unknown): boolean {
  return isCallError(error) && (error.code === 7 || error.code === 16);
}
