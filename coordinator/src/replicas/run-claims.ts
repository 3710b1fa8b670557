/** Who owns which run, seen from all replicas. A port beside the engine's store; the database's clock decides what has expired. */
import type { Lease, OwnedRun } from '../rounds/engine-store.js';
import type { StoredRun } from '../rounds/material.js';

export interface RunClaims {
  /** Takes over open runs that nobody owns, or whose leases ran out, `limit` at most. What another replica claims now is left to it. */
  claimFree(limit: number): Promise<readonly OwnedRun[]>;
  /** Takes the runs back that this replica owned in a former life. */
  claimOwn(): Promise<readonly OwnedRun[]>;
  /** How many runs are open, whoever owns them. */
  open(): Promise<number>;
  /** Throws LEASE_LOST where another owns the run: what this replica knows of it may be old. */
  confirm(lease: Lease): Promise<void>;
  /** An open run as it is stored, whoever owns it. */
  stored(runId: string): Promise<StoredRun | undefined>;
  isOpen(runId: string): Promise<boolean>;
  /** Open runs that wait for this agent's update, as they are stored. */
  training(agentId: string): Promise<readonly StoredRun[]>;
}
