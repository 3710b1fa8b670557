import { GraftError } from '@graft/core/error';

import { databaseAway, isConnectionLoss } from './connection-loss.js';

const failed = (message: string, fields: object): Error => Object.assign(new Error(message), fields);

describe('a lost connection to the database', () => {
  test.each([
    ['a server that was killed', failed('Connection terminated unexpectedly', {})],
    ['a server that shuts down', failed('terminating connection due to administrator command', { code: '57P01' })],
    ['a server that starts', failed('the database system is starting up', { code: '57P03' })],
    ['a port where nobody listens', failed('connect ECONNREFUSED', { code: 'ECONNREFUSED', syscall: 'connect' })],
    ['a local socket that is gone', failed('connect ENOENT .s.PGSQL.5432', { code: 'ENOENT', syscall: 'connect' })],
  ])('is %s, and is told as one that may be tried again', (_, error) => {
    expect(isConnectionLoss(error)).toBe(true);
    expect(databaseAway(error)).toMatchObject({
      code: 'DATABASE_UNAVAILABLE',
      cause: error,
      row: { retryable: true, http: 503, grpc: 'UNAVAILABLE' },
    });
  });

  test.each([
    ['a statement that fails', failed('duplicate key value', { code: '23505' })],
    ['a file that is missing', failed('open ENOENT', { code: 'ENOENT', syscall: 'open' })],
    ['the embedded database that has stopped', failed('the embedded database has stopped: PANIC', { code: '57P03' })],
  ])('is not %s', (_, error) => {
    expect(isConnectionLoss(error)).toBe(false);
    expect(databaseAway(error)).toBeUndefined();
  });

  test('is not an error that has its code already', () => {
    expect(databaseAway(new GraftError('NOT_FOUND', 'Connection terminated'))).toBeUndefined();
  });
});
