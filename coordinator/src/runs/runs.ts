/** Runs and their rounds, read from the store. */
import type { CheckpointView, RoundView, RunView } from './run-view.js';

export interface Runs {
  /** Newest first. */
  list(): Promise<readonly RunView[]>;
  get(id: string): Promise<RunView>;
  /** Rounds with a number greater than `after`, in order. */
  rounds(runId: string, after: number): Promise<readonly RoundView[]>;
  round(runId: string, round: number): Promise<RoundView>;
  /** The weights that each committed round made, in order. */
  checkpoints(runId: string): Promise<readonly CheckpointView[]>;
}
