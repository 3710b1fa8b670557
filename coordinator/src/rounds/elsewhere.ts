/**
 * The other coordinators on the same database, as an engine sees them. A coordinator that is alone has none, and touches
 * no table of theirs.
 */
import type { Lease, OwnedRun } from './engine-store.js';
import type { StoredRun } from './material.js';
import type { Answer, RunMessage } from './run-message.js';
import type { Heartbeat } from './rounds.js';
import type { RunOwner } from './run-owner.driver.js';
import type { TransferMeter } from './transferred.js';

export interface Elsewhere {
  /**
   * An open run as it is stored, whoever owns it.
   * @param round where one is given, what was read of this round a moment ago will do: the owner decides anyway
   */
  stored(runId: string, round?: number): Promise<StoredRun | undefined>;
  isOpen(runId: string): Promise<boolean>;
  /** Open runs that wait for this agent's update. */
  training(agentId: string): Promise<readonly StoredRun[]>;
  /**
   * Hands a message to the owner of a run and waits for what comes of it; undefined where the run is over.
   * Throws UNAVAILABLE where no owner has answered in time: whoever reports, reports again.
   * @param key stays the same when the message is sent again
   */
  send(runId: string, key: string, message: RunMessage): Promise<Answer | undefined>;
  /** Throws LEASE_LOST where another replica owns the run: then what this one knows of it may be old. */
  confirm(lease: Lease): Promise<void>;
  /** Agents with a stream at any replica. */
  connected(): Promise<readonly string[]>;
  /** An agent's stream has opened here, or has closed. */
  agentConnected(agentId: string): Promise<void>;
  agentLost(agentId: string): Promise<void>;
  /** An agent with a stream here takes no work. */
  agentPaused(agentId: string, reason: string): Promise<void>;
  /** A heartbeat that came in here. */
  progress(agentId: string, heartbeat: Heartbeat): void;
  /** Bytes of blobs to and from each agent, at all replicas. */
  readonly meter: TransferMeter;
  /** Takes the runs that are to be had, and goes on taking them, renewing, and bringing the owners their messages. */
  begin(local: LocalRuns): Promise<void>;
  /** Gives every run to the others and takes no more: this replica will stop. */
  handOver(): Promise<void>;
  /** Ends all that goes on. */
  end(): Promise<void>;
}

/** The runs of this replica. */
export interface LocalRuns {
  /** Tells every run here that an agent's site takes no work. */
  tellPaused(agentId: string, reason: string): Promise<void>;
  owner(runId: string): RunOwner | undefined;
  owners(): readonly RunOwner[];
  /** Goes on with a run that was claimed. */
  adopt(owned: OwnedRun): Promise<void>;
  /** Finishes the event in hand and gives the run back. */
  letGo(runId: string): Promise<void>;
  /** Keeps the leases; runs that were lost are let go of. */
  renew(): Promise<void>;
  /** An owner is told; answers what came of it. @param inboxSeq the row that the message came with */
  tell(owner: RunOwner, message: RunMessage, inboxSeq?: number): Promise<Answer>;
  /** What an agent said at another replica. */
  heard(agentId: string, heartbeat: Heartbeat): void;
  /** Brings the owners' view of who is connected up to date. @param among of these agents only, where some are named */
  present(connected: ReadonlySet<string>, among?: readonly string[]): Promise<void>;
}
