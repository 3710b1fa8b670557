/** What every part of the daemon works with. */
import type { SigningKey } from '@graft/protos/identity/keys';

import type { AgentConfig } from '../config/agent-config.js';
import type { AgentPaths } from '../config/agent-paths.js';
import type { Progress, TrainerPlaces } from '../trainer/trainer-calls.js';
import type { Trainer } from '../trainer/trainer-process.driver.js';
import type { BlobCache } from '../daemon/blob-cache.adapter.js';
import type { Connection } from '../daemon/connection.driver.js';
import type { DaemonEvent } from '../daemon/daemon-events.js';
import type { Outbox } from '../daemon/outbox.adapter.js';
import type { SentLog } from '../daemon/sent-log.adapter.js';
import type { AgentTransfers } from '../transfers/agent-transfers.adapter.js';
import type { SiteState } from '../daemon/site-state.driver.js';

export interface AgentContext {
  readonly config: AgentConfig;
  readonly paths: AgentPaths;
  readonly places: TrainerPlaces;
  readonly trainer: Trainer;
  readonly cache: BlobCache;
  readonly transfers: AgentTransfers;
  readonly outbox: Outbox;
  readonly sentLog: SentLog;
  /** Ed25519 public key of the coordinator. */
  readonly identityKey: Uint8Array;
  /** Ed25519, of this agent. */
  readonly signingKey: SigningKey;
  readonly connection: Connection;
  /** Whether the site takes work, and who hears of it. */
  readonly site: SiteState;
  readonly nowMs: () => number;
  readonly emit: (event: DaemonEvent) => void;
}

/** How a job is followed and ended. */
export interface JobControl {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
}
