/** A run that a coordinator of the first version began, on its schema, is ended by this one. The database: test/vectors/first-schema. */
import { jest } from '@jest/globals';
import { cp } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { firstSchema } from '../coordinator/src/store/migrate.contract.js';
import { openFederation, type Federation, type Run } from './support/federation.js';

jest.setTimeout(180_000);

const fixture = resolve(import.meta.dirname, 'vectors/first-schema');
let federation: Federation;

beforeAll(async () => {
  federation = await openFederation({
    prepare: async (home) => {
      await firstSchema({ kind: 'embedded', directory: home });
      for (const name of ['keys', 'blobs', 'admin.key'])
        await cp(join(fixture, name), join(home, name), { recursive: true });
    },
  });
});

afterAll(async () => federation?.close());

test('a run that stood in its third round is completed by sites that come to it now', async () => {
  const [run] = await federation.call<Run[]>('GET', '/runs');
  expect(run).toMatchObject({ status: 'running', committedRounds: 2 });
  await federation.addAgent('new-a');
  await federation.addAgent('new-b');
  const ended = await federation.untilCommitted(run?.id ?? '', 6);
  expect(ended.committedRounds).toBe(6);
});
