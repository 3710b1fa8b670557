import { silentLog } from '../server/log.js';
import { metricCatalogue } from './metric-catalogue.js';
import { prometheus } from './prometheus.adapter.js';

const open = (agentLimit = 2) => prometheus({ agentLimit, log: silentLog });

test('counters, gauges and histograms come out in the text format, with their help', async () => {
  const { meters, text } = open();
  meters.add('graft_rounds_finished_total', { outcome: 'committed' }, 2);
  meters.set('graft_outbox_depth', {}, 7);
  meters.move('graft_outbox_depth', {}, -3);
  meters.observe('graft_round_phase_seconds', { phase: 'training' }, 0.7);
  const lines = (await text()).split('\n');
  expect(lines).toContain('graft_rounds_finished_total{outcome="committed"} 2');
  expect(lines).toContain('graft_outbox_depth 4');
  expect(lines).toContain('graft_round_phase_seconds_bucket{le="1",phase="training"} 1');
  expect(lines).toContain('# TYPE graft_outbox_depth gauge');
});

test('every name keeps the conventions of Prometheus', () => {
  for (const [name, { kind, help, labels }] of Object.entries(metricCatalogue)) {
    expect(name).toMatch(/^graft_[a-z0-9_]+$/u);
    expect(name.endsWith('_total')).toBe(kind === 'counter');
    if (kind === 'histogram') expect(name).toMatch(/_(seconds|bytes|steps)$/u);
    expect(help).not.toBe('');
    for (const label of labels) expect(label).toMatch(/^[a-z]+$/u);
  }
});

test('an agent past the limit has no series of its own: counters add it to the others, gauges leave it out', async () => {
  const { meters, text } = open(2);
  for (const agent of ['a', 'b', 'c', 'd']) {
    meters.add('graft_agent_transferred_bytes_total', { agent, direction: 'up' }, 10);
    meters.set('graft_agent_attempt', { agent }, 1);
  }
  const shown = await text();
  expect(shown).toContain('graft_agent_transferred_bytes_total{agent="other",direction="up"} 20');
  expect(shown).toContain('graft_agent_attempt{agent="b"} 1');
  expect(shown).not.toContain('agent="c"');
  expect(shown).toContain('graft_agents_not_shown 2');
});

test('metrics of single agents can be switched off, whatever comes', async () => {
  const { meters, text } = open(0);
  meters.add('graft_agent_transferred_bytes_total', { agent: 'a', direction: 'up' }, 10);
  meters.set('graft_agent_attempt', { agent: 'a' }, 1);
  expect(await text()).not.toContain('agent="');
});

test('what is read on demand is read once for all who ask at once, and one that fails hides nothing else', async () => {
  const { meters, text } = open();
  let reads = 0;
  meters.onCollect(async () => {
    throw new Error('the database is away');
  });
  meters.onCollect(async () => {
    reads += 1;
    meters.clear('graft_runs');
    await Promise.resolve();
    meters.set('graft_runs', { status: 'running' }, 3);
  });
  const shown = await Promise.all([text(), text(), text()]);
  expect(reads).toBe(1);
  for (const one of shown) expect(one).toContain('graft_runs{status="running"} 3');
});

test('a label that would break the format is escaped', async () => {
  const { meters, text } = open();
  meters.set('graft_agent_connected', { agent: 'a', name: 'l"und\n\\' }, 1);
  expect(await text()).toContain('name="l\\"und\\n\\\\"');
});
