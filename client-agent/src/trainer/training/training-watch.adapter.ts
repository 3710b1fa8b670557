/** What happens between two runs of a training: it tells how far it is, looks whether it shall pause or end, and keeps a checkpoint now and then. */
import { performance } from 'node:perf_hooks';

import type { TrainingCheckpoint } from '@graft/models/training/training-checkpoint';
import type { TrainingProgress } from '@graft/models/training/tally';

import type { JobControl } from '../serve.driver.js';
import { isPaused, whilePaused } from './pause-file.adapter.js';
import { Throughput } from './throughput.js';

/** A crash loses this much training at most, milliseconds; writing a checkpoint takes a small part of it. */
const checkpointEveryMs = 20_000;

/** How often it looks whether the site wants a pause, milliseconds. */
const lookEveryMs = 100;

/** A training that is ended after less than this begins anew, milliseconds: its checkpoint is not worth the disk. */
const worthKeepingMs = 2_000;

export interface WatchOptions extends JobControl {
  readonly pauseFile: string;
  /** Examples of all epochs. */
  readonly examples: number;
  /** Examples that a checkpoint had before. */
  readonly examplesBefore: number;
  readonly save: (checkpoint: TrainingCheckpoint) => Promise<void>;
}

export class TrainingWatch {
  private readonly throughput: Throughput;
  private readonly startedAtMs: number;
  private examplesDone: number;
  private lastSavedMs: number;
  private lastLookedMs: number;

  constructor(private readonly options: WatchOptions) {
    this.startedAtMs = performance.now();
    this.throughput = new Throughput(this.startedAtMs);
    this.examplesDone = options.examplesBefore;
    this.lastSavedMs = this.startedAtMs;
    this.lastLookedMs = this.startedAtMs;
  }

  /** Throws the reason of the signal where the job was cancelled. */
  async betweenRuns(progress: TrainingProgress, checkpoint: () => Promise<TrainingCheckpoint>): Promise<void> {
    const { signal, onProgress, save } = this.options;
    const nowMs = performance.now();
    this.throughput.add(progress.examples, nowMs);
    this.examplesDone += progress.examples;
    onProgress(this.standing(progress));
    if (signal.aborted && nowMs - this.startedAtMs >= worthKeepingMs) await save(await checkpoint());
    signal.throwIfAborted();
    if (nowMs - this.lastSavedMs >= checkpointEveryMs) await this.keep(await checkpoint());
    if (nowMs - this.lastLookedMs < lookEveryMs) return;
    this.lastLookedMs = nowMs;
    if (await isPaused(this.options.pauseFile)) await this.pause(progress, await checkpoint());
  }

  /** Examples a second of late. */
  examplesPerSecond(): number | undefined {
    return this.throughput.examplesPerSecond();
  }

  private async pause(progress: TrainingProgress, checkpoint: TrainingCheckpoint): Promise<void> {
    this.options.onProgress({ ...this.standing(progress), activity: 'paused' });
    await this.keep(checkpoint);
    await whilePaused(this.options.pauseFile, this.options.signal);
    this.throughput.skip(performance.now());
  }

  private async keep(checkpoint: TrainingCheckpoint): Promise<void> {
    await this.options.save(checkpoint);
    this.lastSavedMs = performance.now();
    this.throughput.skip(this.lastSavedMs);
  }

  private standing({ step, steps, loss }: TrainingProgress) {
    const examplesPerSecond = this.throughput.examplesPerSecond();
    const remainingMs = this.throughput.remainingMs(this.options.examples - this.examplesDone);
    return {
      activity: 'training' as const,
      progress: step / steps,
      loss,
      step,
      steps,
      ...(examplesPerSecond !== undefined && { examplesPerSecond }),
      ...(remainingMs !== undefined && { remainingMs }),
    };
  }
}
