import { assert, integer, property, string } from 'fast-check';

import { atMs, roundOf, runOf } from './shown-round.contract.js';
import { roundShow } from './round-show.js';
import { runShow } from './run-show.js';

const options = (width: number) => ({ width, showAll: false, nowMs: atMs });
const show = (count: number, width: number): string[] => roundShow(runOf(), roundOf(count), options(width));

test.each([
  [80, 3],
  [80, 300],
  [160, 3],
  [160, 300],
])('at %i cells no line of a round with %i agents is longer, whatever the names', (width, count) => {
  const lines = show(count, width);
  expect(lines.length).toBeGreaterThan(10);
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(width);
});

test('a round in hand says its phase since when and until when, what it waits for and what ends that', () => {
  expect(show(3, 100).slice(0, 8)).toEqual([
    'round 3/10 of run 01JDX5V3K8ZQ4M7T0B6C9D2E1F (chest-xray)',
    'phase      training, try 1 of 3, for 12.3 s, since 2026-11-24 10:14:47 UTC',
    'waits for  updates of 2 agents, 1 accepted',
    'ends with  2 more updates; at the deadline this try fails, because a round needs 2 updates and has 1',
    'deadline   2026-11-24 10:15:48 UTC, in 48.0 s',
    'phases     selecting 1.2 s, training 12.3 s so far',
    'updates    1 accepted of 3 asked, 1 refused, 1 at work; refused reports: norm 1',
    'totals     up 7.0 MB, down 13.7 MB, 1234 examples, training loss 0.4123',
  ]);
});

test('the worst come first, the many are folded and counted, and a sentence of trouble is told whole', () => {
  const lines = show(300, 80);
  const first = lines.findIndex((line) => line.startsWith('site '));
  expect(lines[first + 1]).toMatch(/^site-2 +refused/u);
  expect(lines[first + 2]).toMatch(/^universitaets.*… +training +training 42 %/u);
  expect(lines).toContain('and 280 more: 280 accepted; --all shows them');
  expect(lines.join(' ').replace(/ +/gu, ' ')).toContain(
    'site-2: the norm of the update is 812.4, the limit is 10 times the median of the round, 31.2',
  );
  const all = roundShow(runOf(), roundOf(300), { ...options(80), showAll: true });
  expect(all.filter((line) => line.includes('accepted  ') || line.endsWith('accepted')).length).toBeGreaterThan(280);
});

test('a wide terminal shows the seconds of every part of an agent’s work', () => {
  const lines = show(3, 170);
  const header = lines.find((line) => line.startsWith('site '))?.split(/ {2,}/u);
  expect(header).toEqual(expect.arrayContaining(['fetch', 'features', 'train', 'seal', 'rest', 'up', 'down']));
  expect(lines.find((line) => line.startsWith('site-0'))).toMatch(/310 ms +3\.2 s +33\.5 s +40 ms +4\.1 s/u);
});

test('what an agent wrote cannot move the cursor, colour the screen or forge a line', () => {
  const round = roundOf(1);
  const record = { ...round.record.agents['agent-0'], state: 'failed', attempt: 1, bytesUp: 0, bytesDown: 0 };
  assert(
    property(string({ unit: 'binary' }), integer({ min: 40, max: 200 }), (message, width) => {
      const agents = {
        'agent-0': { ...record, reason: `A\u001b[2J${message}`, message: `\u001b[31m${message}\nsite-9` },
      };
      const lines = roundShow(runOf(), { ...round, record: { ...round.record, agents } }, options(width));
      for (const line of lines) expect(line).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]/u);
    }),
    { numRuns: 30 },
  );
});

test('a round that ended says how, and keeps the reasons of its tries', () => {
  const reason = 'round 3 was abandoned 3 times, the last time because 5 agents were asked';
  const over = runOf({ status: 'failed', reason, phase: 'abandoned', finishedAtMs: atMs });
  const { record, ...rest } = roundOf(3);
  const abandoned = [{ attempt: 1, reason: 'nobody answered' }];
  const lines = roundShow(over, { ...rest, phase: 'abandoned', record: { ...record, abandoned } }, options(100));
  expect(lines[1]).toBe(
    'state      not finished: the run failed while abandoned, try 1, started 2026-11-24 10:14:46 UTC',
  );
  expect(lines[2]).toBe(`reason     ${reason}`);
  expect(lines).toContain('abandoned  try 1: nobody answered');
  expect(lines.join('\n')).not.toContain('waits for');
});

test('a run shows its newest rounds with their gates, and what it waits for', () => {
  const gate = {
    passed: true,
    precision: 'int8' as const,
    checks: [],
    int8: { accuracy: 0.91, loss: 0.31, worstSiteAccuracy: 0.842 },
  };
  const done = { ...roundOf(4), phase: 'committed', finishedAtMs: atMs };
  const rounds = Array.from({ length: 25 }, (_, index) => ({
    ...done,
    round: index + 1,
    record: { ...done.record, gate },
  }));
  const waiting = { for: 'round 26 needs 2 connected agents, 1 is', endedBy: '1 more agent' };
  const run = runOf({ status: 'waiting', phase: 'selecting', round: 26, rounds: 30, waiting });
  for (const width of [60, 80, 160]) {
    const lines = runShow(run, rounds, options(width));
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(width);
    expect(lines.join(' ').replace(/ +/gu, ' ')).toContain('25 rounds committed, 50 updates accepted, 25 refused');
    expect(lines.at(-1)).toBe('and 5 earlier rounds; --all shows them');
    expect(lines).toContain('waits for  round 26 needs 2 connected agents, 1 is');
  }
  expect(runShow(run, rounds, options(160)).join('\n')).toContain('.842');
});
