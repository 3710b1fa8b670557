/**
 * Every metric of a coordinator: its kind, what it says, and its labels. Names follow the Prometheus conventions (prometheus.io/docs/practices/naming):
 * counters end in _total, times are seconds, sizes bytes. A label has few values by construction, but for `agent`, which is bounded
 * and can be switched off, and `run`, which names open runs only. docs/observability.md is checked against this table.
 */

import { maxGroup } from '../rounds/step-group.js';

interface MetricRow {
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper bounds of a histogram's buckets, in its unit. */
  readonly buckets?: readonly number[];
}

/** From a cache hit to a slow disk. */
const callBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];
/** From a rehearsal to a night of training. */
const phaseBuckets = [0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 7_200, 28_800];

const counter = <const Labels extends readonly string[]>(help: string, ...labels: Labels) =>
  ({ kind: 'counter', help, labels }) as const;
const gauge = <const Labels extends readonly string[]>(help: string, ...labels: Labels) =>
  ({ kind: 'gauge', help, labels }) as const;
const histogram = <const Labels extends readonly string[]>(
  help: string,
  buckets: readonly number[],
  ...labels: Labels
) => ({ kind: 'histogram', help, labels, buckets }) as const;

export const metricCatalogue = {
  graft_runs: gauge('Runs in the store, by status', 'status'),
  graft_open_runs: gauge('Runs that still go on: running or waiting'),
  graft_rounds: gauge('Rounds in the store, by phase; committed ones are over', 'phase'),
  graft_quarantined_agents: gauge('Agents in quarantine, by task', 'task'),
  graft_updates: gauge('Updates in the store, by verdict: accepted, or why one was refused', 'reason'),
  graft_rounds_finished_total: counter('Tries at a round that ended: committed or abandoned', 'outcome'),
  graft_round_seconds: histogram('From the start of a round to its commit', phaseBuckets),
  graft_round_phase_seconds: histogram('Time that a round spent in a phase', phaseBuckets, 'phase'),
  graft_reports_total: counter('Updates that agents reported, by verdict: accepted, or why one was refused', 'reason'),
  graft_agent_results_total: counter('What became of the agents of finished rounds', 'state'),
  graft_gate_decisions_total: counter('Decisions on candidates', 'decision'),

  graft_run_round: gauge('The round in hand of an open run', 'run'),
  graft_run_attempt: gauge('Which try at this round it is', 'run'),
  graft_run_waiting: gauge('1 where an open run waits for agents or for a time', 'run'),
  graft_run_phase_age_seconds: gauge('Since when an open run is in its phase', 'run', 'phase'),
  graft_run_agents: gauge('Agents of the round in hand, by state', 'run', 'state'),
  graft_run_loss: gauge('Mean training loss of the round in hand, weighted by examples', 'run'),

  graft_connected_agents: gauge('Agents with an open instruction stream'),
  graft_agent_connected: gauge('1 where the agent has an open instruction stream', 'agent', 'name'),
  graft_agent_state: gauge('1 for the state that an agent has in the round in hand', 'agent', 'state'),
  graft_agent_attempt: gauge('Which try of the round in hand the agent takes part in', 'agent'),
  graft_agent_loss: gauge('The training loss that an agent reported in the round in hand', 'agent'),
  graft_agent_seconds: gauge('Seconds that an agent spent on a part of the round in hand', 'agent', 'activity'),
  graft_agent_transferred_bytes_total: counter('Bytes of blobs to and from an agent', 'agent', 'direction'),
  graft_agent_refusals: gauge('Refused reports of an agent in the round in hand, by reason', 'agent', 'reason'),
  graft_agents_not_shown: gauge('Agents without metrics of their own, because there are more than the limit'),
  graft_transferred_bytes_total: counter('Bytes of blobs between agents and coordinator', 'direction'),

  graft_outbox_depth: gauge('Effects of rounds that are stored and not done'),
  graft_instruction_backlog: gauge('Instructions to agents that are not settled'),
  graft_compute_queue_depth: gauge('Calls of the compute workers that wait or run', 'call'),
  graft_compute_seconds: histogram(
    'Time of a call of the compute workers, with its wait',
    phaseBuckets,
    'call',
    'result',
  ),
  graft_inbox_depth: gauge('Events for runs that wait for the replica that owns the run'),
  graft_transaction_steps: histogram('Steps of a run that were stored together, in one transaction', [
    1,
    2,
    4,
    8,
    16,
    32,
    maxGroup,
  ]),
  graft_lease_renewals_total: counter('Leases on runs that were renewed, or lost', 'result'),

  graft_grpc_calls_total: counter('Calls of agents that ended, by method and status', 'method', 'status'),
  graft_grpc_call_seconds: histogram(
    'Time of a call of an agent; the instruction stream is left out',
    callBuckets,
    'method',
  ),
  graft_grpc_calls_open: gauge('Calls of agents in hand', 'method'),
  graft_http_requests_total: counter('Requests of the admin API, by method and status', 'method', 'status'),
  graft_http_request_seconds: histogram('Time of a request of the admin API', callBuckets, 'method'),
  graft_database_seconds: histogram(
    'Time of a database query, with the wait for a connection',
    callBuckets,
    'statement',
  ),
  graft_blob_seconds: histogram('Time of a call of the blob store', callBuckets, 'call', 'result'),

  graft_event_loop_delay_seconds: gauge('Lateness of the event loop since the last collection', 'quantile'),
  graft_event_loop_delay_p99_seconds: gauge('Lateness of the event loop since the start, 99th percentile'),
  graft_spans_dropped_total: counter('Spans that could not be exported'),
} satisfies Record<string, MetricRow>;

type Catalogue = typeof metricCatalogue;
export type MetricName = keyof Catalogue;
type NameOf<Kind extends MetricRow['kind']> = {
  [Name in MetricName]: Catalogue[Name]['kind'] extends Kind ? Name : never;
}[MetricName];

export type CounterName = NameOf<'counter'>;
export type GaugeName = NameOf<'gauge'>;
export type HistogramName = NameOf<'histogram'>;

/** The labels of a metric, each with its value. */
export type LabelsOf<Name extends MetricName> = Readonly<Record<Catalogue[Name]['labels'][number], string>>;
