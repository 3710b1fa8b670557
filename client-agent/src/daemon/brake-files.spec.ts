import { describePause, parseDrain, parsePause } from './brake-files.js';

describe('a drain that was asked for', () => {
  it('has the limit that it names, counted from when it was asked', () => {
    expect(parseDrain('{"atMs":1000,"limitMs":60000}', 11_000)).toEqual({ limitMs: 50_000 });
    expect(parseDrain('{"atMs":1000,"limitMs":60000}', 100_000)).toEqual({ limitMs: 0 });
  });

  it.each(['', '{', 'null', '[]', '{"limitMs":"soon","atMs":"now"}', '{"limitMs":-1}', '{"limitMs":1e300}'])(
    'in a file that says %j has minutes, and does not end the work in hand at once',
    (text) => {
      expect(parseDrain(text, 11_000)).toEqual({ limitMs: 300_000 });
    },
  );

  it('by a clock that was ahead has no more than its limit', () => {
    expect(parseDrain('{"atMs":90000,"limitMs":1000}', 11_000)).toEqual({ limitMs: 1_000 });
  });
});

describe('a pause', () => {
  it.each(['', '{', '7', '{"by":"nobody"}'])('in a file that says %j is one of the site', (text) => {
    expect(describePause(parsePause(text))).toBe('paused by the site');
  });

  it('by the hours says which, one by the site its reason', () => {
    expect(describePause({ sinceMs: 0, by: 'hours', reason: 'outside its hours' })).toBe('outside its hours');
    expect(describePause({ sinceMs: 0, by: 'site', reason: 'backup' })).toBe('paused by the site: backup');
  });
});
