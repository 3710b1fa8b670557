import { describeHours, isOpen, nextChangeMs, parseHours, type Hours } from './hours.js';

const at = (time: string): number => Date.parse(time);
const hours = (text: string): Hours => {
  const parsed = parseHours(text);
  if (parsed === undefined) throw new Error(`'${text}' was not read`);
  return parsed;
};

describe('hours that a site allows', () => {
  it.each(['20:00-06:00 Europe/Berlin', '09:30-17:00 America/New_York', '00:00-23:59 UTC'])('%s are read', (text) => {
    expect(describeHours(hours(text))).toBe(text);
  });

  it('are of UTC where no zone is named', () => {
    expect(hours('01:00-02:00').zone).toBe('UTC');
  });

  it.each(['', '8-17', '24:00-01:00', '10:00-10:00', '10:00-11:00 Middle/Earth', '10:00-11:60', 'at night'])(
    '%j are refused',
    (text) => {
      expect(parseHours(text)).toBeUndefined();
    },
  );

  it('that pass midnight are on before it and after it, on the clock of their zone', () => {
    const night = hours('20:00-06:00 Europe/Berlin');
    expect(isOpen(night, at('2026-01-10T18:59:00Z'))).toBe(false);
    expect(isOpen(night, at('2026-01-10T19:00:00Z'))).toBe(true);
    expect(isOpen(night, at('2026-01-11T04:59:59Z'))).toBe(true);
    expect(isOpen(night, at('2026-01-11T05:00:00Z'))).toBe(false);
    // Summer time: an hour earlier in UTC.
    expect(isOpen(night, at('2026-07-10T18:00:00Z'))).toBe(true);
  });

  it.each([
    ['2026-01-10T12:00:10Z', '2026-01-10T19:00:00Z'],
    ['2026-01-10T19:00:00Z', '2026-01-11T05:00:00Z'],
    // The clocks go forward in this night.
    ['2026-03-28T20:00:00Z', '2026-03-29T04:00:00Z'],
  ])('change after %s at %s', (now, change) => {
    expect(new Date(nextChangeMs(hours('20:00-06:00 Europe/Berlin'), at(now))).toISOString()).toBe(
      new Date(change).toISOString(),
    );
  });
});
