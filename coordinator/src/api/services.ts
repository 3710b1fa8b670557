/** What the controllers call: one explicit table, given to the module as a value. */
import type { ApiKeys } from '../access/api-keys.repository.js';
import type { Rounds } from '../rounds/rounds.js';
import type { Agents } from '../agents/agents.js';
import type { ApiBlobs } from '../blobs-api/api-blobs.js';
import type { EnrolmentTokens } from '../enrolment/enrolment-tokens.js';
import type { EventFeed } from '../events/event-feed.js';
import type { Models } from '../models/models.js';
import type { Releases } from '../releases/releases.js';
import type { Runs } from '../runs/runs.js';
import type { Health, Metrics, SystemReport } from '../system/system.js';
import type { Tasks } from '../tasks/tasks.js';
import type { Upkeep } from '../upkeep/upkeep.js';

export interface Services {
  readonly agents: Agents;
  readonly blobs: ApiBlobs;
  readonly tokens: EnrolmentTokens;
  readonly events: EventFeed;
  readonly keys: Pick<ApiKeys, 'list' | 'create' | 'revoke'>;
  readonly models: Models;
  readonly releases: Releases;
  readonly rounds: Pick<Rounds, 'start' | 'stop'>;
  readonly runs: Runs;
  readonly tasks: Tasks;
  readonly upkeep: Upkeep;
  readonly health: Health;
  readonly metrics: Metrics;
  readonly system: () => SystemReport;
}

export const SERVICES = Symbol('graft services');
