/**
 * What an agent counts for its site's own monitoring, out of its events; in the text form of Prometheus
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). Nothing here is of single examples. Pure.
 */
import type { DaemonEvent } from '../daemon/daemon-events.js';

export interface AgentMetrics {
  readonly connected: boolean;
  readonly paused: boolean;
  /** Connections that ended or could not be opened. */
  readonly retries: number;
  /** Answers to what was sent, by what it was and what the coordinator said. */
  readonly reports: Readonly<Record<string, number>>;
  /** Work that failed here, by code. */
  readonly failures: Readonly<Record<string, number>>;
  readonly dropped: number;
  readonly installed: number;
  readonly bytesUp: number;
  readonly trainedExamples: number;
  readonly steps: number;
  readonly examplesPerSecond: number;
  readonly inHand: number;
  /** Steps of each round in hand, so far. */
  readonly stepsOf: Readonly<Record<string, number>>;
}

export const noMetrics: AgentMetrics = {
  connected: false,
  paused: false,
  retries: 0,
  reports: {},
  failures: {},
  dropped: 0,
  installed: 0,
  bytesUp: 0,
  trainedExamples: 0,
  steps: 0,
  examplesPerSecond: 0,
  inHand: 0,
  stepsOf: {},
};

/** The counts after an event. */
export function counted(metrics: AgentMetrics, event: DaemonEvent): AgentMetrics {
  switch (event.event) {
    case 'connected':
      return { ...metrics, connected: true };
    case 'disconnected':
      return { ...metrics, connected: false, retries: metrics.retries + 1 };
    case 'drained':
    case 'not-needed':
    case 'stopped':
      return { ...metrics, connected: false };
    case 'paused':
      return { ...metrics, paused: true };
    case 'resumed':
      return { ...metrics, paused: false };
    case 'working':
      return { ...metrics, inHand: metrics.inHand + 1 };
    case 'done':
      return withoutRound({ ...metrics, inHand: Math.max(0, metrics.inHand - 1) }, event);
    case 'progress':
      return trained(metrics, event);
    case 'update-sent': {
      const sent = {
        bytesUp: metrics.bytesUp + event.bytes,
        trainedExamples: metrics.trainedExamples + event.examples,
      };
      return { ...metrics, ...sent, reports: raised(metrics.reports, answer('update', event)) };
    }
    case 'evaluation-sent':
      return { ...metrics, reports: raised(metrics.reports, answer('evaluation', event)) };
    case 'failed':
      return { ...metrics, failures: raised(metrics.failures, event.code) };
    case 'dropped':
      return { ...metrics, dropped: metrics.dropped + 1 };
    case 'installed':
      return { ...metrics, installed: metrics.installed + 1 };
    default:
      return metrics;
  }
}

const answer = (kind: string, { accepted }: { readonly accepted: boolean }): string =>
  `kind="${kind}",result="${accepted ? 'accepted' : 'refused'}"`;

function raised(counts: Readonly<Record<string, number>>, key: string): Readonly<Record<string, number>> {
  return { ...counts, [key]: (counts[key] ?? 0) + 1 };
}

const roundKey = ({ run, round }: { readonly run: string; readonly round: number }): string => `${run} ${round}`;

/** Progress names all steps of its round so far; a trainer that goes on from a checkpoint names them again. */
function trained(metrics: AgentMetrics, event: Extract<DaemonEvent, { event: 'progress' }>): AgentMetrics {
  if (event.activity !== 'training') return metrics;
  const key = roundKey(event);
  const before = metrics.stepsOf[key] ?? 0;
  const now = Math.max(before, event.step ?? 0);
  return {
    ...metrics,
    steps: metrics.steps + now - before,
    stepsOf: { ...metrics.stepsOf, [key]: now },
    examplesPerSecond: event.examplesPerSecond ?? metrics.examplesPerSecond,
  };
}

function withoutRound(metrics: AgentMetrics, event: { readonly run: string; readonly round: number }): AgentMetrics {
  const { [roundKey(event)]: _, ...stepsOf } = metrics.stepsOf;
  const isTraining = Object.keys(stepsOf).length > 0;
  return { ...metrics, stepsOf, ...(!isTraining && { examplesPerSecond: 0 }) };
}

type Row = readonly [name: string, type: 'counter' | 'gauge', help: string, values: Readonly<Record<string, number>>];

/** One page for a scraper. */
export function metricsPage(metrics: AgentMetrics): string {
  const one = (value: number): Readonly<Record<string, number>> => ({ '': value });
  const failures = Object.fromEntries(Object.entries(metrics.failures).map(([code, n]) => [`code="${code}"`, n]));
  const rows: readonly Row[] = [
    ['graft_agent_connected', 'gauge', 'Whether the instruction stream is open', one(Number(metrics.connected))],
    ['graft_agent_paused', 'gauge', 'Whether the site takes no work', one(Number(metrics.paused))],
    ['graft_agent_connection_retries_total', 'counter', 'Connections that ended or failed', one(metrics.retries)],
    ['graft_agent_jobs', 'gauge', 'Pieces of work in hand', one(metrics.inHand)],
    ['graft_agent_reports_total', 'counter', 'Updates and measures that were answered', metrics.reports],
    ['graft_agent_failures_total', 'counter', 'Work that failed at this site', failures],
    ['graft_agent_dropped_total', 'counter', 'Work that nobody wanted any more', one(metrics.dropped)],
    ['graft_agent_releases_installed_total', 'counter', 'Releases installed', one(metrics.installed)],
    ['graft_agent_update_bytes_total', 'counter', 'Bytes of sealed updates sent', one(metrics.bytesUp)],
    ['graft_agent_trained_examples_total', 'counter', 'Examples behind the updates sent', one(metrics.trainedExamples)],
    ['graft_agent_steps_total', 'counter', 'Optimizer steps', one(metrics.steps)],
    ['graft_agent_examples_per_second', 'gauge', 'Speed of the training in hand', one(metrics.examplesPerSecond)],
  ];
  return rows
    .map(([name, type, help, values]) => {
      const lines = Object.entries(values).map(([labels, value]) => `${name}${labels && `{${labels}}`} ${value}\n`);
      return `# HELP ${name} ${help}.\n# TYPE ${name} ${type}\n${lines.join('')}`;
    })
    .join('');
}
