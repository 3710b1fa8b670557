/** An agent's counts out of what happened to it. */
import type { DaemonEvent } from '../daemon/daemon-events.js';
import { counted, metricsPage, noMetrics } from './agent-metrics.js';

const page = (...events: readonly DaemonEvent[]): string => metricsPage(events.reduce(counted, noMetrics));
const of = { run: 'run', round: 1 };
const training = (step: number): DaemonEvent => ({
  event: 'progress',
  ...of,
  activity: 'training',
  progress: step / 10,
  step,
  steps: 10,
  examplesPerSecond: 25,
});
const update = (accepted: boolean): DaemonEvent => ({
  event: 'update-sent',
  ...of,
  examples: 40,
  initialLoss: 1,
  loss: 0.5,
  bytes: 1_000,
  ms: 10,
  accepted,
  reason: '',
});

test('a new agent counts nothing, and every metric says what it is', () => {
  const lines = page().trim().split('\n');
  expect(lines).toContain('graft_agent_connected 0');
  const names = lines.filter((line) => line.startsWith('# TYPE')).map((line) => line.split(' ')[2]);
  expect(lines.filter((line) => line.startsWith('# HELP')).map((line) => line.split(' ')[2])).toEqual(names);
});

test('steps that a trainer repeats after a checkpoint count once', () => {
  const working: DaemonEvent = { event: 'working', kind: 'train', ...of };
  const text = page(working, training(3), training(6), training(4), training(8));
  expect(text).toContain('graft_agent_steps_total 8\n');
  expect(text).toContain('graft_agent_examples_per_second 25\n');
  expect(text).toContain('graft_agent_jobs 1\n');
  expect(page(working, training(3), { event: 'done', kind: 'train', ...of })).toContain(
    'graft_agent_examples_per_second 0\n',
  );
});

test('answers are counted by what the coordinator said, failures by their code', () => {
  const text = page(update(true), update(true), update(false), {
    event: 'failed',
    ...of,
    code: 'DATA_NOT_FOUND',
    message: '',
  });
  expect(text).toContain('graft_agent_reports_total{kind="update",result="accepted"} 2\n');
  expect(text).toContain('graft_agent_reports_total{kind="update",result="refused"} 1\n');
  expect(text).toContain('graft_agent_failures_total{code="DATA_NOT_FOUND"} 1\n');
  expect(text).toContain('graft_agent_update_bytes_total 3000\n');
});

test('the connection and the pause are as they were last', () => {
  const connected: DaemonEvent = { event: 'connected', address: 'a:1', coordinator: '', skewMs: 0 };
  const lost: DaemonEvent = { event: 'disconnected', address: 'a:1', code: '', cause: '', attempt: 1, retryInMs: 1 };
  expect(page(connected, lost, connected)).toMatch(/graft_agent_connected 1\n[^]*retries_total 1\n/u);
  expect(page(connected, { event: 'not-needed', comeBackMs: 1 })).toContain('graft_agent_connected 0\n');
  expect(page({ event: 'paused', reason: 'backup' })).toContain('graft_agent_paused 1\n');
  expect(page({ event: 'paused', reason: 'backup' }, { event: 'resumed' })).toContain('graft_agent_paused 0\n');
});
