/** Training graphs that stay loaded between rounds; those longest unused make room, and none that is in use. */
import type { StepSource } from '@graft/models/training/step-source';

export interface LoadedStep {
  readonly steps: StepSource;
  /** Time of a step in the last training on it, to tell how long the next one will take. */
  stepMs?: number;
}

interface Entry {
  readonly loaded: Promise<LoadedStep>;
  users: number;
}

export class KeptSteps {
  /** In order of their last use. */
  private readonly entries = new Map<string, Entry>();

  /** @param limit how many are kept that nobody uses */
  constructor(private readonly limit: number) {}

  /** Loads the step of `key` unless it is loaded, and keeps it loaded while `use` runs. One that does not load is not kept. */
  async using<R>(key: string, load: () => Promise<LoadedStep>, use: (step: LoadedStep) => Promise<R>): Promise<R> {
    const entry = this.entries.get(key) ?? { loaded: load(), users: 0 };
    entry.users += 1;
    this.entries.delete(key);
    this.entries.set(key, entry);
    try {
      return await use(await this.orForget(key, entry));
    } finally {
      entry.users -= 1;
      await this.evict();
    }
  }

  private async orForget(key: string, entry: Entry): Promise<LoadedStep> {
    try {
      return await entry.loaded;
    } catch (error) {
      if (this.entries.get(key) === entry) this.entries.delete(key);
      throw error;
    }
  }

  private async evict(): Promise<void> {
    const idle = [...this.entries].filter(([, { users }]) => users === 0);
    const gone = idle.slice(0, Math.max(0, idle.length - this.limit));
    for (const [key] of gone) this.entries.delete(key);
    for (const [, { loaded }] of gone) await (await loaded).steps.dispose();
  }
}
