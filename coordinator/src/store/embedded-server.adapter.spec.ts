import { PGlite } from '@electric-sql/pglite';

import { embeddedServer } from './embedded-server.adapter.js';

/** A PostgreSQL that answers with these messages, one call after another; 'dies' is a process that ended under the call. */
function scripted(...answers: readonly (readonly object[] | 'dies')[]): PGlite {
  const rest = [...answers];
  const execProtocolStream = async (): Promise<object[]> => {
    const answer = rest.shift();
    if (answer === undefined || answer === 'dies') throw new Error('exit(1)');
    return [...answer];
  };
  return { execProtocolStream, close: async () => undefined } as unknown as PGlite;
}

const message = (letter: string): Uint8Array => Uint8Array.of(letter.charCodeAt(0), 0, 0, 0, 4);
const panic = { name: 'error', severity: 'PANIC' };
const done = { name: 'commandComplete' };
const ready = { name: 'readyForQuery' };

/** The names of what comes back for each message. */
async function ask(opened: readonly (PGlite | Error)[], letters: string): Promise<string[]> {
  const rest = [...opened];
  const { pglite } = await embeddedServer(async () => {
    const next = rest.shift();
    if (next === undefined || next instanceof Error) throw next ?? new Error('opened too often');
    return next;
  });
  const names: string[] = [];
  for (const letter of letters) {
    const answer = await pglite.execProtocolStream(message(letter), {});
    names.push(answer.map(({ name }) => name).join());
  }
  return names;
}

describe('the embedded server', () => {
  test('is started again after its last word, once the query in hand has failed', async () => {
    const servers = [scripted([panic]), scripted([done, ready])];
    expect(await ask(servers, 'QQ')).toEqual(['error,readyForQuery', 'commandComplete,readyForQuery']);
  });

  test('passes over the rest of a query that has failed', async () => {
    const servers = [scripted([done], 'dies'), scripted([done, ready])];
    expect(await ask(servers, 'PEDSQ')).toEqual([
      'commandComplete',
      'error',
      '',
      'readyForQuery',
      'commandComplete,readyForQuery',
    ]);
  });

  test('fails each query as long as it cannot be started', async () => {
    const servers = [scripted([panic]), new Error('full'), new Error('full'), scripted([done, ready])];
    expect(await ask(servers, 'QPBSQQ')).toEqual([
      'error,readyForQuery',
      'error',
      '',
      'readyForQuery',
      'error,readyForQuery',
      'commandComplete,readyForQuery',
    ]);
  });
});
