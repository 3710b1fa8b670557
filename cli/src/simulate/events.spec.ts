import { resultTable, simulatedRoundLine, type ResultEvent, type RoundEvent } from './events.js';

const round: RoundEvent = {
  event: 'round',
  policy: 'synchronous',
  round: 3,
  atMs: 75_000,
  accuracy: 0.8123,
  asked: 130,
  accepted: 100,
  refused: 0,
  dropped: 30,
  abandoned: 0,
  bytesUp: 20_400_000,
  bytesDown: 15_600_000,
};

const result: ResultEvent = {
  event: 'result',
  policy: 'synchronous',
  status: 'completed',
  reason: '',
  rounds: 30,
  virtualMs: 5_400_000,
  wallMs: 61_000,
  accuracy: 0.91,
  timeToAccuracyMs: { '0.8': 75_000, '0.9': 4_000_000, '0.95': null },
  bytesUp: 20_400_000,
  bytesDown: 15_600_000,
  updates: 100,
  asked: 130,
  fairness: { everAsked: 0.16, most: 30, jain: 0.14 },
};

describe('the lines of a simulation', () => {
  it('tell of a round in virtual time', () => {
    expect(simulatedRoundLine(round, 30)).toBe(
      'round  3/30   1 min 15 s  accuracy .812  asked 130  answered 100  dropped 30  up 20.4 MB  down 15.6 MB',
    );
  });

  it('tell of refusals and abandoned tries only where there were any', () => {
    expect(simulatedRoundLine({ ...round, refused: 2, abandoned: 1 }, 30)).toContain('refused 2  tries abandoned 1');
  });

  it('end with one table of all policies, in which what never came is a dash', () => {
    const other: ResultEvent = {
      ...result,
      policy: 'semiSynchronous',
      status: 'out of time',
      reason: 'too few agents',
    };
    const [header = '', , first = '', , ...rest] = resultTable([result, other], 1000);
    expect(header.split(/ {2,}/)).toEqual([
      'policy',
      'to 80 %',
      'to 90 %',
      'to 95 %',
      'accuracy',
      'rounds',
      'virtual',
      'updates',
      'up an update',
      'down an agent',
      'asked at all',
      'fairness',
      'wall',
    ]);
    expect(first.split(/ {2,}/)).toEqual([
      'synchronous',
      '1 min 15 s',
      '1 h 6 min',
      '-',
      '.910',
      '30',
      '1 h 30 min',
      '100',
      '204.0 kB',
      '15.6 kB',
      '16 %',
      '0.14',
      '1 min 1 s',
    ]);
    expect(rest).toEqual(['semiSynchronous ended as out of time: too few agents']);
  });

  it('leave accuracy out where nothing was measured', () => {
    const { accuracy: _, ...probe } = result;
    expect(resultTable([probe], 10)[0]).not.toContain('accuracy');
  });
});
