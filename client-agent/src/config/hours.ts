/** Hours in which a site lets others compute, as agent.yaml has them: '20:00-06:00 Europe/Berlin', by the clock on that wall. */

export interface Hours {
  /** Minutes since midnight; where `from` is the later one the hours pass midnight. */
  readonly from: number;
  readonly to: number;
  /** Name of the IANA time zone database. */
  readonly zone: string;
}

const pattern = /^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)(?: (\S+))?$/;

const dayMinutes = 24 * 60;

/** Undefined where the text is not of this form, names no zone that is known, or leaves no minute. */
export function parseHours(text: string): Hours | undefined {
  const [, fromHour, fromMinute, toHour, toMinute, zone = 'UTC'] = pattern.exec(text) ?? [];
  if (fromHour === undefined || !isZone(zone)) return undefined;
  const from = Number(fromHour) * 60 + Number(fromMinute);
  const to = Number(toHour) * 60 + Number(toMinute);
  return from === to ? undefined : { from, to, zone };
}

/** Whether the hours are on at a moment. */
export function isOpen({ from, to, zone }: Hours, atMs: number): boolean {
  const now = minuteOf(atMs, zone);
  return from < to ? now >= from && now < to : now >= from || now < to;
}

/** The next moment at which they begin or end; looked for minute by minute, because a wall clock jumps twice a year. */
export function nextChangeMs(hours: Hours, atMs: number): number {
  const before = isOpen(hours, atMs);
  const minuteMs = 60_000;
  let next = Math.floor(atMs / minuteMs) * minuteMs + minuteMs;
  for (let tried = 0; tried < 2 * dayMinutes && isOpen(hours, next) === before; tried++) next += minuteMs;
  return next;
}

/** '20:00-06:00 Europe/Berlin'. */
export function describeHours({ from, to, zone }: Hours): string {
  const clock = (minutes: number): string =>
    `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;
  return `${clock(from)}-${clock(to)} ${zone}`;
}

function minuteOf(atMs: number, zone: string): number {
  const parts = formatOf(zone).formatToParts(atMs);
  const value = (type: 'hour' | 'minute'): number => Number(parts.find((part) => part.type === type)?.value);
  return value('hour') * 60 + value('minute');
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** Making one takes longer than a day of asking it. */
function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone);
  if (known !== undefined) return known;
  const made = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  formats.set(zone, made);
  return made;
}

function isZone(zone: string): boolean {
  try {
    formatOf(zone);
    return true;
  } catch {
    // RangeError: the database has no such zone.
    return false;
  }
}
