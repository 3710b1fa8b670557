import { assert, object, property, string } from 'fast-check';
import { pino } from 'pino';

import { prettyLine, withoutSecrets } from './log-line.js';

/** What pino writes of some values, after the secrets were taken out. */
function logged(values: object, message: string): string {
  const lines: string[] = [];
  const log = pino(
    { base: null, hooks: { streamWrite: withoutSecrets } },
    { write: (line: string) => void lines.push(line) },
  );
  log.info(values, message);
  return lines.join('');
}

const secrets = ['graft_key_c2VjcmV0LXNlY3JldA', 'graft_enrol_YW5vdGhlcg-one_x', 'hunter2', 'AKIAEXAMPLEKEY'] as const;

test.each([
  ['an API key in a message', {}, `the key ${secrets[0]} is not known`],
  ['an enrolment token in a field', { command: `graft-agent enroll --token ${secrets[1]} --server h:1` }, 'invited'],
  ['a field that holds a secret', { password: secrets[2] }, 'connected'],
  ['a secret deep in an object', { s3: { secretKey: secrets[3], region: 'eu' } }, 'opened'],
  ['a database URL', { db: `postgres://graft:${secrets[2]}@db.example:5432/graft?sslmode=require` }, 'opened'],
  [
    'a database URL in an error',
    { err: new Error(`connect postgres://graft:${secrets[2]}@db:5432/x failed`) },
    'failed',
  ],
  ['a header', { headers: { authorization: `Bearer ${secrets[0]}` } }, 'a request'],
  ['a header in words', {}, `sent Authorization: Bearer ${secrets[3]}`],
  ['a signed link', {}, `GET https://s3/b/k?X-Amz-Signature=${secrets[3]}&x=1`],
  ['a private key', { pem: `-----BEGIN EC PRIVATE KEY-----\n${secrets[3]}\n-----END EC PRIVATE KEY-----` }, 'read'],
])('%s is not written down, and the line stays JSON', (_, values, message) => {
  const line = logged(values, message);
  for (const secret of secrets) expect(line).not.toContain(secret);
  expect(line).toContain('[redacted]');
  expect(() => JSON.parse(line) as unknown).not.toThrow();
});

test('what is no secret stays: ids, addresses, hashes, reasons', () => {
  const values = {
    runId: '01JDX',
    agentId: '01JDY',
    url: 'http://127.0.0.1:8080/x',
    hash: 'a'.repeat(64),
    err: new Error('a token was revoked'),
  };
  expect(logged(values, 'round 3: training')).not.toContain('redacted');
});

test('taking secrets out of a line of JSON leaves a line of JSON', () => {
  assert(
    property(object(), string(), (values, message) => {
      expect(() => JSON.parse(withoutSecrets(JSON.stringify({ ...values, msg: message }))) as unknown).not.toThrow();
    }),
  );
});

test('a line for people has time, level, message and fields; a stack stands below', () => {
  const time = '2026-11-24T16:52:07.123Z';
  expect(
    prettyLine(JSON.stringify({ level: 30, time, runId: 'r', reason: 'two words', round: 3, msg: 'training' })),
  ).toBe('16:52:07.123 INFO  training  runId=r  reason="two words"  round=3\n');
  const shown = prettyLine(
    JSON.stringify({ level: 50, time, err: { message: 'no', stack: 'Error: no\n  at x' }, msg: 'failed' }),
  );
  expect(shown).toBe('16:52:07.123 ERROR failed  error=no\n    Error: no\n      at x\n');
  expect(prettyLine('no json\n')).toBe('no json\n');
});
