/** The metrics of the catalogue in Prometheus' text format, by prom-client. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

import type { Log } from '../server/log.js';
import { metricCatalogue, type MetricName } from './metric-catalogue.js';
import type { Metrics } from './system.js';
import type { Meters, Telemetry } from './telemetry.js';

export interface PrometheusOptions {
  /** Agents that have series of their own; 0 switches the metrics of single agents off. */
  readonly agentLimit: number;
  readonly log: Log;
}

export interface Prometheus extends Metrics {
  readonly meters: Meters & Pick<Telemetry, 'onCollect'>;
}

/** How the label `agent` of one agent too many reads where its values can be added up. */
const otherAgents = 'other';

type Values = Readonly<Record<string, string>>;
type Metric = Counter | Gauge | Histogram;

export function prometheus({ agentLimit, log }: PrometheusOptions): Prometheus {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: 'graft_' });
  const metrics = new Map<string, Metric>(
    Object.keys(metricCatalogue).map((name) => [name, create(name as MetricName, registry)]),
  );
  const readers: (() => Promise<void> | void)[] = [];
  const known = new Set<string>();
  const hidden = new Set<string>();

  /** The labels under which a value is kept; undefined where it is not. */
  const bounded = (labels: Values, canBeAdded: boolean): Values | undefined => {
    const { agent } = labels;
    if (agent === undefined || known.has(agent)) return labels;
    if (known.size < agentLimit) {
      known.add(agent);
      return labels;
    }
    if (agentLimit > 0 && hidden.size < maxHidden) hidden.add(agent);
    return canBeAdded && agentLimit > 0 ? { ...labels, agent: otherAgents } : undefined;
  };
  const of = <Kind extends Metric>(name: string, kind: new (...args: never[]) => Kind): Kind => {
    const metric = metrics.get(name);
    if (metric instanceof kind) return metric;
    throw new TypeError(`${name} is no ${kind.name}`);
  };

  const meters: Prometheus['meters'] = {
    add: (name, labels, amount = 1) => {
      const kept = bounded(labels, true);
      if (kept !== undefined) of(name, Counter).inc(kept, Math.max(0, amount));
    },
    set: (name, labels, value) => {
      const kept = bounded(labels, false);
      if (kept !== undefined) of(name, Gauge).set(kept, value);
    },
    move: (name, labels, by) => {
      const kept = bounded(labels, false);
      if (kept !== undefined) of(name, Gauge).inc(kept, by);
    },
    observe: (name, labels, value) => {
      const kept = bounded(labels, false);
      if (kept !== undefined) of(name, Histogram).observe(kept, Math.max(0, value));
    },
    clear: (name) => of(name, Gauge).reset(),
    onCollect: (read) => void readers.push(read),
  };

  const collect = async (): Promise<void> => {
    for (const read of readers) {
      try {
        await read();
      } catch (error) {
        log.warn({ err: error }, 'some metrics could not be read; they keep their last values');
      }
    }
    meters.set('graft_agents_not_shown', {}, hidden.size);
  };
  let collecting: Promise<void> | undefined;
  return {
    meters,
    contentType: registry.contentType,
    text: async () => {
      // Two who ask at once must not clear each other's gauges.
      collecting ??= collect().finally(() => (collecting = undefined));
      await collecting;
      return registry.metrics();
    },
  };
}

/** Names of agents past the limit that are remembered, to count them. */
const maxHidden = 100_000;

function create(name: MetricName, registry: Registry): Metric {
  const row = metricCatalogue[name];
  const options = { name, help: row.help, labelNames: [...row.labels], registers: [registry] };
  switch (row.kind) {
    case 'counter':
      return new Counter(options);
    case 'gauge':
      return new Gauge(options);
    default:
      return new Histogram({ ...options, buckets: [...row.buckets] });
  }
}
