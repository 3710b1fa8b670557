/**
 * PGlite as a server that `pg` speaks to: fair to the rest of the process, and started again where PostgreSQL gave up
 * (PANIC, when the log cannot be written: a full disk). PGlite answers nothing any more then, every query would wait for ever.
 */
import { setImmediate } from 'node:timers/promises';

import type { PGlite } from '@electric-sql/pglite';

/** A query ends with one of these, and then `pg` waits for the server to be ready again. */
const simpleQuery = 'Q'.charCodeAt(0);
const sync = 'S'.charCodeAt(0);

export interface EmbeddedServer {
  /** For `createPgConfig`. */
  readonly pglite: PGlite;
  close(): Promise<void>;
}

type Answer = Awaited<ReturnType<PGlite['execProtocolStream']>>;
type Message = Answer[number];

/** True where PostgreSQL said its last word. */
const isLast = (answer: Answer): boolean =>
  answer.some((message) => 'severity' in message && ['FATAL', 'PANIC'].includes(String(message.severity)));

const ready = { name: 'readyForQuery', length: 5, status: 'I' } as Message;

/** As PostgreSQL says that it cannot be used now (SQLSTATE 57P03). */
const refusal = (error: unknown): Message =>
  Object.assign(new Error(`the embedded database has stopped: ${String(error)}`, { cause: error }), {
    name: 'error',
    length: 0,
    severity: 'FATAL',
    code: '57P03',
  } as const);

export async function embeddedServer(open: () => Promise<PGlite>): Promise<EmbeddedServer> {
  const pglite = await open();
  const start = (each: PGlite) => ({
    execute: each.execProtocolStream.bind(each),
    close: async () => each.close(),
  });
  let running: ReturnType<typeof start> | undefined = start(pglite);
  /** After an error the rest of a query is passed over. */
  let skipping = false;

  /** What was acknowledged is in the log: starting again recovers it. What was in hand has failed. */
  const execute: PGlite['execProtocolStream'] = async (message, options) => {
    try {
      running ??= start(await open());
      const answer = await running.execute(message, options);
      if (isLast(answer)) running = undefined;
      return answer;
    } catch (error) {
      running = undefined;
      return [refusal(error)];
    }
  };

  pglite.execProtocolStream = async (message, options) => {
    const endsQuery = message[0] === sync || message[0] === simpleQuery;
    const answer = skipping ? [] : await execute(message, options);
    if (running === undefined) {
      if (endsQuery) answer.push(ready);
      skipping = !endsQuery;
    }
    // PGlite answers without leaving the turn of the event loop: a chain of queries would let no socket and no timer run.
    if (endsQuery) await setImmediate();
    return answer;
  };
  return { pglite, close: async () => running?.close() };
}
