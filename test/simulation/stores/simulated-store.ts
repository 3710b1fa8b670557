/** A store as the simulation uses it: the engine's, for any number of processes, with all of its rows to look at. */
import type { EngineStore } from '../../../coordinator/src/rounds/engine-store.js';
import type { OutboxEffect } from '../../../coordinator/src/rounds/machine/effect.js';
import type { RoundRecord } from '../../../coordinator/src/rounds/machine/record.js';
import type { StoredRun } from '../../../coordinator/src/rounds/material.js';
import type { Instruction } from '../../../protos/src/messages.js';

/** The engine's store, and what the hub reads. */
export interface ProcessStore extends EngineStore {
  unsettled(agentId: string): Promise<readonly Instruction[]>;
}

export interface Contents {
  /** In the order in which they were started. */
  readonly runs: readonly { readonly runId: string; readonly run: StoredRun }[];
  readonly outbox: readonly { readonly runId: string; readonly effect: OutboxEffect; readonly done: boolean }[];
  readonly checkpoints: readonly { readonly runId: string; readonly round: number; readonly weights: string }[];
  readonly releases: readonly { readonly runId: string; readonly id: string }[];
  readonly records: readonly { readonly runId: string; readonly round: number; readonly record: RoundRecord }[];
  readonly updates: readonly {
    readonly runId: string;
    readonly round: number;
    readonly agentId: string;
    readonly nonce: string;
    readonly accepted: boolean;
  }[];
  readonly unsettled: readonly { readonly runId: string; readonly agentId: string; readonly kind: string }[];
}

export interface SimulatedStore {
  /** The store as the process `owner` sees it. */
  as(owner: string): ProcessStore;
  contents(): Promise<Contents>;
  /** Ends an agent's quarantine; false where it is in none. */
  release(agentId: string, atMs: number): Promise<boolean>;
  close(): Promise<void>;
}
