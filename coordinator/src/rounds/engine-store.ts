/** What the engine keeps and looks up; a repository implements it over the database. */
import type { ModelCard } from '@graft/models/pipeline/model-card';
import type { BlobRef } from '@graft/models/pipeline/pipeline';
import type { TaskSpec } from '@graft/models/pipeline/task-spec';

import type { OutboxEffect, Step } from './machine/effect.js';
import type { TraitsById } from './machine/event.js';
import type { Transferred } from './machine/record.js';
import type { ReleasedMeasures } from './machine/state.js';
import type { StoredRun } from './material.js';

/** The right to write a run: every write names the fence, and a run that was claimed since has a higher one. */
export interface Lease {
  readonly runId: string;
  readonly fence: number;
}

/** Of a run that nobody has claimed since it was created. */
export const firstFence = 1;

export interface OwnedRun {
  readonly run: StoredRun;
  readonly lease: Lease;
}

/** An undone row of the outbox. */
export interface OutboxRow {
  readonly seq: number;
  readonly effect: OutboxEffect;
}

/** What comes with an event and is stored in its transaction, but is none of the machine's business. */
export interface EventContext {
  /** The outbox row whose result the event is. */
  readonly doneSeq?: number;
  /** The row of the inbox that the event came with: its verdict is stored there. */
  readonly inboxSeq?: number;
  /** The signed report behind an `updateReceived`. */
  readonly report?: { readonly agentId: string; readonly round: number } & ReportedUpdate;
  /** Bytes of blobs that went to and from each agent since the step before. */
  readonly transferred?: Transferred;
}

/** A step and what comes with it, on its way to the store. */
export interface StepToSave {
  readonly result: Step;
  readonly context: EventContext;
}

export interface ReportedUpdate {
  readonly nonce: string;
  readonly manifest: Uint8Array;
  readonly ciphertext: BlobRef;
  readonly exampleCount: number;
}

export interface Saved {
  readonly run: StoredRun;
  readonly outbox: readonly OutboxRow[];
  /** Agents whose instructions changed. */
  readonly wake: readonly string[];
}

export interface LibraryModel {
  readonly card: ModelCard;
  readonly graph: BlobRef;
  readonly weights: BlobRef;
}

export interface EngineStore {
  task(taskId: string): Promise<TaskSpec | undefined>;
  model(name: string): Promise<LibraryModel | undefined>;
  /** Ed25519 key that an agent enrolled with. */
  signingKey(agentId: string): Promise<Uint8Array | undefined>;
  /** What sites and their operators say of these agents; whoever is unknown is missing. */
  traits(agentIds: readonly string[]): Promise<TraitsById>;
  /** Measures of the newest release of a task. */
  lastRelease(taskId: string): Promise<ReleasedMeasures | undefined>;

  /** Stores a new run, owned by this process. */
  create(run: StoredRun): Promise<Lease>;
  /** Takes over every run that is open and owned by nobody else now. */
  claimAll(): Promise<readonly OwnedRun[]>;
  /** Keeps leases for another while; answers those that are lost. */
  renew(leases: readonly Lease[]): Promise<readonly Lease[]>;
  giveBack(leases: readonly Lease[]): Promise<void>;

  /**
   * One transaction: state, outbox, instructions, records, events, and the commit of a round.
   * @param steps at least one; each was made on the state of the one before, and only the last may end a group (step-group.ts)
   * Throws LEASE_LOST where another process owns the run.
   */
  save(lease: Lease, before: StoredRun, steps: readonly StepToSave[]): Promise<Saved>;
  /** The run as it is stored: after a save that failed, nobody knows whether it was. Throws LEASE_LOST. */
  load(lease: Lease): Promise<StoredRun>;
  /** Outbox rows of a run that are not done, oldest first. */
  undone(runId: string): Promise<readonly OutboxRow[]>;

  /** Whether a run can still change, whoever owns it; undefined where there is none. */
  runIs(runId: string): Promise<'open' | 'over' | undefined>;
  /** The accepted updates of a round with these nonces, by agent id. */
  updates(
    runId: string,
    round: number,
    nonces: readonly string[],
  ): Promise<readonly ({ readonly agentId: string } & ReportedUpdate)[]>;
  /** True where this very update was accepted in a round that is over. */
  wasAccepted(of: {
    readonly runId: string;
    readonly round: number;
    readonly agentId: string;
    readonly nonce: string;
  }): Promise<boolean>;
  instruction(id: string, agentId: string): Promise<{ readonly kind: string } | undefined>;
  /** The release is installed, or could not be: the instruction is settled and those who watch are told. Repeating it changes nothing. */
  settleInstall(id: string, agentId: string, outcome: { readonly failed?: string }): Promise<void>;
}
