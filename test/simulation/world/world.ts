/** Everything of one simulation that its parts share. */
import type { Random } from '../../../core/src/random.js';
import type { Ledger } from '../invariants/ledger.js';
import type { Config } from '../input.js';
import type { SimulatedStore } from '../stores/simulated-store.js';
import type { CoordinatorProcess } from './coordinator-process.js';
import type { Faults } from './faults.js';
import type { Scheduler } from './scheduler.js';
import type { Trace } from './trace.js';
import type { VirtualBlobs } from './weights.js';

export interface World {
  readonly config: Config;
  readonly chance: Random;
  readonly trace: Trace;
  readonly scheduler: Scheduler;
  readonly faults: Faults;
  readonly blobs: VirtualBlobs;
  readonly store: SimulatedStore;
  readonly ledger: Ledger;
  newRunId(): string;
  /** How far the coordinators' clock is from the true time. */
  skewMs(): number;
  /** What candidates measure now. */
  accuracy(): number;
  /** The process that agents and operators reach, if there is one. */
  coordinator(): CoordinatorProcess | undefined;
  /** A process dies, and is started again after a while. */
  crash(process: CoordinatorProcess, downMs: number): void;
}
