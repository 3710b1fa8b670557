/** The line of signals: one connection that listens, and one that calls out; a line that breaks is opened again. */
import { Client } from 'pg';

import type { Logger } from '../rounds/rounds.js';
import { channel } from './notify.repository.js';
import type { SignalKind, SignalLine, Signals } from './signals.js';

type Listener = (signal: never) => void;

/** A pause before a broken line is opened again. */
const againMs = 500;

/** Opens the line. Rejects where the database cannot be reached now; later it waits until it can. */
export async function openSignalLine(url: string, logger: Logger): Promise<SignalLine> {
  const listeners = new Map<SignalKind, Listener[]>();
  const resumed: (() => void)[] = [];
  let client: Client | undefined;
  let closed = false;
  let timer: NodeJS.Timeout | undefined;

  function hear(payload: string | undefined): void {
    const [kind, signal] = JSON.parse(payload ?? '[]') as [SignalKind, never];
    for (const listener of listeners.get(kind) ?? []) listener(signal);
  }

  async function open(): Promise<void> {
    const opened = new Client({ connectionString: url, keepAlive: true, application_name: 'graft signals' });
    let lost = false;
    const onLost = (error?: Error): void => {
      if (lost) return;
      lost = true;
      if (client === opened) client = undefined;
      void leave(opened);
      if (closed) return;
      logger.warn({ err: error }, 'the line between the replicas broke, it is opened again');
      openLater();
    };
    opened.on('error', onLost);
    opened.on('end', () => onLost());
    opened.on('notification', ({ payload }) => hear(payload));
    try {
      await opened.connect();
      await opened.query(`listen ${channel}`);
    } catch (error) {
      lost = true;
      void leave(opened);
      throw error;
    }
    client = opened;
  }

  async function reopen(): Promise<void> {
    try {
      await open();
    } catch (error) {
      logger.warn({ err: error }, 'the line between the replicas cannot be opened yet');
      if (!closed) openLater();
      return;
    }
    for (const listener of resumed) listener();
  }

  function openLater(): void {
    timer = setTimeout(() => {
      void reopen();
    }, againMs);
    timer.unref();
  }

  await open();
  return {
    send: (kind, signal) => {
      client
        ?.query('select pg_notify($1, $2)', [channel, JSON.stringify([kind, signal])])
        .catch((error: unknown) => logger.warn({ err: error, kind }, 'a signal was lost'));
    },
    on: <K extends SignalKind>(kind: K, listener: (signal: Signals[K]) => void) => {
      listeners.set(kind, [...(listeners.get(kind) ?? []), listener]);
    },
    onResume: (listener) => void resumed.push(listener),
    close: async () => {
      closed = true;
      clearTimeout(timer);
      await client?.end();
    },
  };
}

/** A client that is broken has nothing to say at its end. */
async function leave(client: Client): Promise<void> {
  await client.end().catch(() => undefined);
}
