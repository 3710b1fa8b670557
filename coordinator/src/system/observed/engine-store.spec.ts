import type { EngineStore, EventContext, Saved } from '../../rounds/engine-store.js';
import { newRun, step } from '../../rounds/machine/machine.js';
import type { RunEvent } from '../../rounds/machine/event.js';
import { checkpoint, planOf, updateOf } from '../../rounds/machine/scenario.contract.js';
import type { RunState } from '../../rounds/machine/state.js';
import type { StoredRun } from '../../rounds/material.js';
import type { Log } from '../../server/log.js';
import { silentTelemetry, type SpanOptions, type Telemetry } from '../telemetry.js';
import { observedEngineStore } from './engine-store.js';

interface Seen {
  readonly added: [string, Readonly<Record<string, string>>][];
  readonly observed: [string, Readonly<Record<string, string>>, number][];
  readonly spans: { readonly name: string; readonly options: SpanOptions | undefined; endMs?: number | undefined }[];
  readonly lines: { readonly level: string; readonly values: Record<string, unknown>; readonly message: string }[];
}

const lease = { runId: 'run', fence: 1 };

/** A run of probes behind an observed store: `feed` steps the real machine and saves. */
function scene() {
  const seen: Seen = { added: [], observed: [], spans: [], lines: [] };
  const telemetry: Telemetry = {
    ...silentTelemetry,
    add: (name, labels, amount = 1) => {
      if (amount > 0) seen.added.push([name, labels]);
    },
    observe: (name, labels, value) => void seen.observed.push([name, labels, value]),
    span: (name, options) => {
      const span: Seen['spans'][number] = { name, options };
      seen.spans.push(span);
      return { traceparent: '', set: () => undefined, end: (_error, endMs) => void (span.endMs = endMs) };
    },
  };
  const write =
    (level: string) =>
    (values: object, message: string): void =>
      void seen.lines.push({ level, values: values as Record<string, unknown>, message });
  const log: Log = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
  let seq = 0;
  let fails = false;
  const store = observedEngineStore(
    {
      save: async (
        _lease: unknown,
        run: StoredRun,
        [{ result }]: [{ result: { state: RunState; effects: readonly { kind: string }[] } }],
      ) => {
        if (fails) throw new Error('the disk is full');
        const asked = result.effects.filter(({ kind }) =>
          ['aggregate', 'quantize', 'evaluateCentral', 'advance'].includes(kind),
        );
        return {
          run: { ...run, machine: result.state },
          outbox: asked.map((effect) => ({ seq: ++seq, effect })),
          wake: [],
        } as unknown as Saved;
      },
      renew: async () => [{ runId: 'lost', fence: 1 }],
    } as unknown as EngineStore,
    { telemetry, log, traceparentOf: (runId, round) => `${runId}/${round}` },
  );
  let state = newRun(
    planOf({ runId: 'run', kind: 'probe', rounds: 1, cohort: { min: 1, goal: 1, max: 2 } }),
    checkpoint(0),
    { atMs: 0 },
  );
  const feed = async (event: RunEvent, context: EventContext = {}): Promise<void> => {
    const result = step(state, event);
    const saved = await store.save(lease, { machine: state } as StoredRun, [{ result, context }]);
    state = saved.run.machine;
  };
  return { seen, store, feed, state: () => state, fail: () => (fails = true), seq: () => seq };
}

const report = {
  agentId: 'a',
  round: 1,
  nonce: '00',
  manifest: new Uint8Array(),
  ciphertext: checkpoint(9).weights,
  exampleCount: 10,
};

/** Selecting at once, 3 s of training, 2 s of aggregating. */
async function committedRound(): Promise<ReturnType<typeof scene>> {
  const one = scene();
  await one.feed({ kind: 'started', connected: ['a'], atMs: 1_000 });
  await one.feed({ kind: 'updateReceived', agentId: 'a', round: 1, update: updateOf('00'), atMs: 4_000 }, { report });
  const aggregated = { updateCount: 1, exampleCount: 10, norm: 1 };
  await one.feed(
    { kind: 'aggregated', round: 1, attempt: 1, candidate: checkpoint(1), report: aggregated, atMs: 6_000 },
    { doneSeq: 1 },
  );
  return one;
}

test('a round leaves its phases, its time and what became of its agents', async () => {
  const { seen, state } = await committedRound();
  expect(state().phase).toBe('committed');
  expect(seen.observed).toContainEqual(['graft_transaction_steps', {}, 1]);
  expect(seen.observed).toContainEqual(['graft_round_phase_seconds', { phase: 'training' }, 3]);
  expect(seen.observed).toContainEqual(['graft_round_phase_seconds', { phase: 'aggregating' }, 2]);
  expect(seen.observed.find(([name]) => name === 'graft_round_seconds')?.[2]).toBe(6);
  expect(seen.added).toEqual(
    expect.arrayContaining([
      ['graft_reports_total', { reason: 'accepted' }],
      ['graft_rounds_finished_total', { outcome: 'committed' }],
      ['graft_agent_results_total', { state: 'accepted' }],
    ]),
  );
});

test('a round is traced: its phases and effects are parts of it, with their own times', async () => {
  const { seen } = await committedRound();
  const byName = new Map(seen.spans.map((span) => [span.name, span]));
  expect(byName.get('phase training')).toMatchObject({ options: { parent: 'run/1', startMs: 1_000 }, endMs: 4_000 });
  expect(byName.get('effect aggregate')).toMatchObject({ options: { parent: 'run/1', startMs: 4_000 }, endMs: 6_000 });
  expect(byName.get('agent work')).toMatchObject({ options: { parent: 'run/1', startMs: 1_000 }, endMs: 4_000 });
  expect(byName.get('agent features')).toMatchObject({ options: { startMs: 1_000 }, endMs: 1_005 });
  expect(byName.get('agent train')).toMatchObject({ options: { startMs: 1_005 }, endMs: 1_015 });
  expect(byName.get('round')).toMatchObject({ options: { traceparent: 'run/1', startMs: 0 }, endMs: 6_000 });
});

test('a refused update is counted by its reason, and named in the log with its agent', async () => {
  const { seen, feed } = scene();
  await feed({ kind: 'started', connected: ['a'], atMs: 1_000 });
  const refusal = { reason: 'not-finite', message: 'element 3 is NaN' } as const;
  await feed(
    { kind: 'updateReceived', agentId: 'a', round: 1, update: updateOf('00'), refusal, atMs: 4_000 },
    { report },
  );
  expect(seen.added).toContainEqual(['graft_reports_total', { reason: 'not-finite' }]);
  expect(seen.lines).toContainEqual({
    level: 'warn',
    message: 'an update was refused',
    values: { runId: 'run', round: 1, attempt: 1, agentId: 'a', reason: 'not-finite', why: 'element 3 is NaN' },
  });
});

test('a try that came to nothing is counted and traced as abandoned', async () => {
  const { seen, feed, state } = scene();
  await feed({ kind: 'started', connected: ['a'], atMs: 1_000 });
  await feed({ kind: 'failureReported', agentId: 'a', round: 1, code: 'NO_DATA', message: 'no rows', atMs: 2_000 });
  for (let atMs = 3_000; state().abandoned.length === 0 && atMs < 20_000; atMs += 1_000)
    await feed({ kind: 'timePassed', active: [], atMs });
  expect(seen.added).toContainEqual(['graft_rounds_finished_total', { outcome: 'abandoned' }]);
  expect(seen.lines.map(({ message }) => message)).toContain('a try at a round was abandoned');
});

test('a lease that is renewed or lost is counted', async () => {
  const { seen, store } = scene();
  await store.renew([lease, { runId: 'lost', fence: 1 }]);
  expect(seen.added).toEqual([
    ['graft_lease_renewals_total', { result: 'renewed' }],
    ['graft_lease_renewals_total', { result: 'lost' }],
  ]);
});

test('every line about a round has run, round and attempt', async () => {
  const { seen } = await committedRound();
  expect(seen.lines.length).toBeGreaterThan(0);
  for (const { values } of seen.lines) expect(values).toMatchObject({ runId: 'run', round: 1, attempt: 1 });
});

test('nothing is told of a step that was not stored', async () => {
  const { seen, feed, fail } = scene();
  fail();
  await expect(feed({ kind: 'started', connected: ['a'], atMs: 1_000 })).rejects.toThrow('the disk is full');
  expect(seen).toEqual({ added: [], observed: [], spans: [], lines: [] });
});
