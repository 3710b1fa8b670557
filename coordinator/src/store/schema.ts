/**
 * The tables, as kysely sees them. Times are milliseconds since the Unix epoch (bigint in the database, number here);
 * ids are ULIDs; JSON goes in as text and comes out parsed.
 */
import type { ColumnType, Generated } from 'kysely';

type Json = ColumnType<unknown, string, string>;
type NullableJson = ColumnType<unknown, string | null | undefined, string | null>;
type Nullable<T> = ColumnType<T | null, T | null | undefined, T | null>;

export interface Database {
  api_keys: ApiKeysTable;
  enrolment_tokens: EnrolmentTokensTable;
  agents: AgentsTable;
  models: ModelsTable;
  tasks: TasksTable;
  runs: RunsTable;
  rounds: RoundsTable;
  outbox: OutboxTable;
  updates: UpdatesTable;
  checkpoints: CheckpointsTable;
  releases: ReleasesTable;
  instructions: InstructionsTable;
  deltas: DeltasTable;
  audit: AuditTable;
  audit_head: AuditHeadTable;
  answers: AnswersTable;
  events: EventsTable;
  replicas: ReplicasTable;
  presence: PresenceTable;
  inbox: InboxTable;
  fold_jobs: FoldJobsTable;
  shared_marks: SharedMarksTable;
  quarantines: QuarantinesTable;
}

/** Agents that are not asked for a task; those who were let back stay, with the time. */
interface QuarantinesTable {
  task_id: string;
  agent_id: string;
  reason: string;
  since_ms: number;
  until_ms: number;
  times: number;
  released_at_ms: Nullable<number>;
}

interface ApiKeysTable {
  id: string;
  name: string;
  role: string;
  /** sha256 of the key, hex. */
  hash: string;
  created_at_ms: number;
  revoked_at_ms: Nullable<number>;
}

interface EnrolmentTokensTable {
  id: string;
  /** Name that the agent will have. */
  name: string;
  hash: string;
  needs_approval: boolean;
  created_at_ms: number;
  expires_at_ms: number;
  used_at_ms: Nullable<number>;
  revoked_at_ms: Nullable<number>;
  agent_id: Nullable<string>;
}

interface AgentsTable {
  id: string;
  name: string;
  /** 'pending', 'active' or 'revoked'. */
  state: string;
  signing_key: Uint8Array;
  agreement_key: Uint8Array;
  /** PEM. */
  certificate: string;
  version: Nullable<string>;
  capabilities: NullableJson;
  /** Words of the operator's choice, by which tasks choose agents. */
  tags: ColumnType<unknown, string | undefined, string>;
  created_at_ms: number;
  last_seen_at_ms: Nullable<number>;
  /** When it comes back, where it was sent away because it was not needed. */
  expected_at_ms: Nullable<number>;
}

interface ModelsTable {
  id: string;
  name: string;
  card: Json;
  /** Blob references. */
  graph: Json;
  weights: Json;
  created_at_ms: number;
}

interface TasksTable {
  id: string;
  name: string;
  kind: string;
  spec: Json;
  pipeline: NullableJson;
  layout_hash: string;
  parameter_count: number;
  /** Blob references of checkpoint 0. */
  weights: Json;
  fp16: Json;
  created_at_ms: number;
}

interface RunsTable {
  id: string;
  task_id: string;
  /** True while the run can still change by itself. */
  open: boolean;
  /** A StoredRun. */
  state: Json;
  /** Raised with every write. */
  version: number;
  lease_owner: Nullable<string>;
  lease_expires_at_ms: Nullable<number>;
  /** Raised with every change of owner; a write with an older one is refused. */
  fence: number;
  created_at_ms: number;
}

interface RoundsTable {
  run_id: string;
  round: number;
  phase: string;
  started_at_ms: number;
  finished_at_ms: Nullable<number>;
  record: Json;
}

interface OutboxTable {
  seq: Generated<number>;
  run_id: string;
  effect: Json;
  created_at_ms: number;
  done_at_ms: Nullable<number>;
}

interface UpdatesTable {
  run_id: string;
  round: number;
  agent_id: string;
  /** Unique to one sealing, hex. */
  nonce: string;
  accepted: boolean;
  /** Empty where it was accepted. */
  reason: string;
  manifest: Uint8Array;
  ciphertext: Json;
  example_count: number;
  received_at_ms: number;
}

interface CheckpointsTable {
  run_id: string;
  round: number;
  /** Blob references. */
  weights: Json;
  fp16: Json;
  created_at_ms: number;
}

interface ReleasesTable {
  id: string;
  task_id: string;
  run_id: string;
  round: number;
  precision: string;
  manifest: Uint8Array;
  signature: Uint8Array;
  measures: Json;
  created_at_ms: number;
}

interface InstructionsTable {
  id: string;
  agent_id: string;
  run_id: string;
  round: number;
  kind: string;
  /** A serialized graft.v1.Instruction. */
  payload: Uint8Array;
  created_at_ms: number;
  settled_at_ms: Nullable<number>;
}

/** Deltas between checkpoints that have been made. */
interface DeltasTable {
  from_hash: string;
  to_hash: string;
  /** Blob reference; null where the whole is hardly larger. */
  delta: NullableJson;
  created_at_ms: number;
}

interface AuditTable {
  seq: Generated<number>;
  at_ms: number;
  action: string;
  details: Json;
  /** sha256 over the row before and this one, hex. */
  hash: string;
}

/** One row: how many rows the audit log has, and the hash of its last one. */
interface AuditHeadTable {
  id: number;
  row_count: number;
  hash: string;
}

/** Answers to requests with an Idempotency-Key. */
interface AnswersTable {
  /** sha256 over the caller and its key, hex. */
  id: string;
  request_hash: string;
  at_ms: number;
  /** Absent while the request is worked on. */
  status: Nullable<number>;
  body: Nullable<string>;
}

interface EventsTable {
  seq: Generated<number>;
  at_ms: number;
  kind: string;
  run_id: Nullable<string>;
  data: Json;
}

interface ReplicasTable {
  id: string;
  /** By the database's clock. */
  expires_at_ms: number;
  draining: boolean;
  version: string;
  started_at_ms: number;
}

/** The replica that holds an agent's instruction stream. */
interface PresenceTable {
  agent_id: string;
  replica_id: string;
  /** Raised with every stream, so that the end of an older one removes nothing. */
  session: number;
}

/** Messages for the owner of a run, from replicas that do not own it. */
interface InboxTable {
  seq: Generated<number>;
  run_id: string;
  key: string;
  /** A RunMessage. */
  message: Json;
  created_at_ms: number;
  done_at_ms: Nullable<number>;
  verdict: NullableJson;
}

interface FoldJobsTable {
  fold_id: string;
  place: number;
  /** A FoldWork. */
  work: Json;
  /** Place of the job that takes the output. */
  parent: Nullable<number>;
  /** Jobs whose outputs this one still waits for. */
  waits: number;
  lease_owner: Nullable<string>;
  lease_expires_at_ms: Nullable<number>;
  /** Raised with every claim; a completion with an older one is refused. */
  fence: number;
  tries: number;
  /** Blob reference of the partial sum. */
  output: NullableJson;
  failure: Nullable<string>;
  done_at_ms: Nullable<number>;
  created_at_ms: number;
}

/** What all replicas must have in common: fingerprints of secrets, the mark of the blob store. */
interface SharedMarksTable {
  name: string;
  value: string;
}
