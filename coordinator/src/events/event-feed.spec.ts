import { silentLog } from '../server/log.js';
import { eventFeed, type StoredEvent } from './event-feed.js';

const event = (seq: number): StoredEvent => ({ seq, atMs: seq, kind: 'round', data: {} });

function feedOf(stored: StoredEvent[], onSleep: () => void = () => undefined) {
  return eventFeed(
    {
      read: async (after, limit) =>
        stored
          .filter(({ seq }) => seq > after)
          .sort((a, b) => a.seq - b.seq)
          .slice(0, limit),
      sleep: async () => onSleep(),
      log: silentLog,
    },
    { pollMs: 10, heartbeatMs: 30 },
  );
}

async function take(feed: ReturnType<typeof feedOf>, after: number, count: number): Promise<(number | undefined)[]> {
  const end = new AbortController();
  const seqs: (number | undefined)[] = [];
  for await (const one of feed.follow(after, end.signal)) {
    seqs.push(one?.seq);
    if (seqs.length === count) end.abort();
  }
  return seqs;
}

test('a follower gets what was after its place, then what comes', async () => {
  const stored = [1, 2, 3].map(event);
  const feed = feedOf(stored, () => stored.push(event(stored.length + 1)));
  expect(await take(feed, 1, 5)).toEqual([2, 3, 4, 5, 6]);
});

test('more events than a page come in order and once', async () => {
  const stored = Array.from({ length: 1_700 }, (_, i) => event(i + 1));
  expect(await take(feedOf(stored), 0, 1_700)).toEqual(stored.map(({ seq }) => seq));
});

test('an event whose transaction committed late is not lost', async () => {
  const stored = [1, 3].map(event);
  const feed = feedOf(stored, () => stored.length === 2 && stored.push(event(2)));
  expect(await take(feed, 0, 3)).toEqual([1, 3, 2]);
});

test('a silent feed sends heartbeats, and a closed one ends', async () => {
  const feed = feedOf([]);
  expect(await take(feed, 0, 2)).toEqual([undefined, undefined]);
  feed.close();
  expect(await take(feed, 0, 1)).toEqual([]);
});
