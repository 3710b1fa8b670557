import { errorCatalogue, GraftError } from './error.js';
import { agentErrors } from './errors/agent.js';
import { coordinatorErrors } from './errors/coordinator.js';
import { dataErrors } from './errors/data.js';
import { modelErrors } from './errors/model.js';
import { privacyErrors } from './errors/privacy.js';
import { replicaErrors } from './errors/replicas.js';
import { storeErrors } from './errors/stores.js';

/** Each with the first digit of its numbers. */
const ranges = [
  [1, coordinatorErrors],
  [1, storeErrors],
  [1, replicaErrors],
  [2, agentErrors],
  [3, modelErrors],
  [4, dataErrors],
  [5, privacyErrors],
] as const;
const tables = ranges.map(([, table]) => table);

describe('the error catalogue', () => {
  it('gives every code a number of its own, in the range of its table', () => {
    const numbers = Object.values(errorCatalogue).map(({ number }) => number);
    expect(new Set(numbers).size).toBe(numbers.length);
    for (const [digit, table] of ranges) {
      for (const { number } of Object.values(table)) expect(number).toMatch(new RegExp(`^GRAFT-${digit}\\d{3}$`));
    }
  });

  it('has no code in two tables', () => {
    const codes = tables.flatMap((table) => Object.keys(table));
    expect(new Set(codes).size).toBe(codes.length);
  });

  it('tells for every code what happened and what to do about it', () => {
    for (const { title, fix } of Object.values(errorCatalogue)) {
      expect(title).not.toBe('');
      expect(fix).toMatch(/\.$/);
    }
  });

  it('gives an error the row of its code, and keeps cause and details', () => {
    const cause = new Error('disk');
    const error = new GraftError('DISK_FULL', 'no space is left', { details: { bytes: 3 }, cause });
    expect(error.row).toBe(errorCatalogue.DISK_FULL);
    expect(error).toMatchObject({ name: 'GraftError', details: { bytes: 3 }, cause });
  });
});
