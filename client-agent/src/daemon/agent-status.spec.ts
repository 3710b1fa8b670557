import { agentStatusSchema, withEvent, type AgentStatus } from './agent-status.js';
import { lineOf, type DaemonEvent } from './daemon-events.js';

const first: AgentStatus = {
  pid: 1,
  version: '0',
  agentId: 'a',
  agentName: 'lund',
  server: 'hub:1',
  state: 'connecting',
  sinceMs: 0,
  startedAtMs: 0,
  jobs: [],
  queue: [],
  rounds: [],
};
const connected: DaemonEvent = { event: 'connected', address: 'hub:1', coordinator: '1', skewMs: 20 };
const lost: DaemonEvent = {
  event: 'disconnected',
  address: 'hub:1',
  code: 'UNAVAILABLE',
  cause: 'hub:1: connect ECONNREFUSED',
  attempt: 1,
  retryInMs: 1_500,
};
const working: DaemonEvent = { event: 'working', kind: 'train', run: 'r', round: 3 };
const progress: DaemonEvent = { event: 'progress', run: 'r', round: 3, activity: 'training', progress: 0.5 };
const sent: DaemonEvent = {
  event: 'update-sent',
  run: 'r',
  round: 3,
  examples: 90,
  initialLoss: 0.41,
  loss: 0.398,
  bytes: 2_300_000,
  ms: 4_200,
  accepted: true,
  reason: '',
};
const evaluated: DaemonEvent = {
  event: 'evaluation-sent',
  run: 'r',
  round: 3,
  examples: 10,
  accuracyFp32: 0.9,
  accuracyInt8: 0.8,
  accepted: false,
  reason: 'late',
};
const fold = (...events: readonly DaemonEvent[]): AgentStatus =>
  events.reduce((status, event, index) => withEvent(status, event, index + 1), first);

describe('the status of an agent', () => {
  it('says why it is not connected, and since when, until it is', () => {
    expect(fold(lost, { ...lost, attempt: 2 })).toMatchObject({ state: 'retrying', sinceMs: 1, attempt: 2 });
    const again = fold(lost, connected);
    expect(again).toMatchObject({ state: 'connected', sinceMs: 2, clockSkewMs: 20 });
    expect(again).not.toHaveProperty('cause');
  });

  it('says what it is doing and how far it is', () => {
    expect(fold(working, progress).jobs).toEqual([
      { kind: 'train', run: 'r', round: 3, activity: 'training', progress: 0.5 },
    ]);
    expect(fold(working, progress, { event: 'done', kind: 'train', run: 'r', round: 3 }).jobs).toEqual([]);
  });

  it('gathers what came of a round in one row', () => {
    expect(fold(sent, evaluated).rounds).toEqual([
      {
        run: 'r',
        round: 3,
        update: { examples: 90, loss: 0.398, bytes: 2_300_000, outcome: 'accepted' },
        evaluation: { examples: 10, fp32: 0.9, int8: 0.8, outcome: 'late' },
      },
    ]);
  });

  it('keeps the last rounds only', () => {
    const many = fold(...Array.from({ length: 50 }, (_, round) => ({ ...sent, round }) satisfies DaemonEvent));
    expect(many.rounds).toHaveLength(20);
    expect(many.rounds.at(-1)?.round).toBe(49);
  });

  it('can be read back', () => {
    const status = fold(connected, working, progress, sent, evaluated, lost, { event: 'stopped', reason: 'asked to' });
    expect(agentStatusSchema.parse(JSON.parse(JSON.stringify(status)))).toEqual(status);
    expect(status).toMatchObject({ state: 'stopped', cause: 'asked to', jobs: [] });
  });
});

describe('the lines that people follow', () => {
  it('are one for what came of a round, and none for its progress', () => {
    expect([working, progress].map(lineOf)).toEqual([undefined, undefined]);
    expect(lineOf(sent)).toBe(
      'round 3     trained on 90 examples, loss 0.410 -> 0.398, 4.2 s, sent 2.3 MB sealed: accepted',
    );
    expect(lineOf(evaluated)).toBe('round 3     evaluated on 10 held out: fp32 .900, int8 .800: refused (late)');
  });

  it('say cause and next attempt of a lost connection', () => {
    expect(lineOf(lost)).toBe('not connected: hub:1: connect ECONNREFUSED; attempt 2 in 1.5 s');
  });
});
