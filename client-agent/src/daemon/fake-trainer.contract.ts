/** A trainer in the spec's own process: it probes for real, and waits or fails when a spec says so. */
import { GraftError } from '@graft/core/error';

import { probe } from '../trainer/probe-job.adapter.js';
import type { ProbeInput, TrainerCalls } from '../trainer/trainer-calls.js';
import type { CallOptions, Trainer } from '../trainer/trainer-process.driver.js';

export class FakeTrainer implements Trainer {
  calls: string[] = [];
  failures: GraftError[] = [];
  /** While set, probes wait for it. */
  gate: Promise<void> | undefined;

  call(name: keyof TrainerCalls, input: unknown, options: CallOptions = {}): Promise<never> {
    this.calls.push(name);
    return this.answer(name, input, options) as Promise<never>;
  }

  pid = () => undefined;
  close = () => Promise.resolve();

  private async answer(name: keyof TrainerCalls, input: unknown, options: CallOptions): Promise<unknown> {
    if (name === 'summary') return { kind: 'image', training: 9, heldOut: 1, skipped: [], skippedCount: 0, labels: [] };
    if (name === 'runtime') return { name: 'fake', device: 'cuda', about: 'a fake', threads: 1, startMs: 0 };
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
    const signal = options.signal ?? new AbortController().signal;
    const onProgress = options.onProgress ?? (() => undefined);
    onProgress({ activity: 'training', progress: 0.5 });
    if (this.gate !== undefined)
      await Promise.race([this.gate, new Promise((resolve) => signal.addEventListener('abort', resolve))]);
    if (signal.aborted) throw new GraftError('CANCELLED', 'cancelled');
    return probe(input as ProbeInput, { signal, onProgress });
  }
}
