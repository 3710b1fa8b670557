/** The store's contract on a PostgreSQL server, where there is one. */
import { sql } from 'kysely';

import { startPostgres, whyNoPostgres, type TemporaryPostgres } from '../../../test/postgres.adapter.js';
import { openStore } from './open-store.driver.js';
import { storeContract } from './store.contract.js';
import { inTransaction } from './transaction.js';

const missing = await whyNoPostgres();
let server: TemporaryPostgres | undefined;

async function running(): Promise<TemporaryPostgres> {
  server ??= await startPostgres();
  return server;
}

afterAll(async () => server?.stop());

if (missing === undefined) {
  describe('the store on PostgreSQL', () => {
    storeContract(async () => openStore({ kind: 'postgres', url: await (await running()).createDatabase() }));

    test('a transaction that cannot be ordered with another one runs again', async () => {
      const store = await openStore({ kind: 'postgres', url: await (await running()).createDatabase() });
      let tries = 0;
      let bothStarted: () => void = () => undefined;
      const both = new Promise<void>((resolve) => (bothStarted = resolve));
      // Each counts the keys of the other and adds one of its own: in any order of one after the other, one sees one.
      const skewed = (own: string, other: string): Promise<number> =>
        inTransaction(store.db, async (transaction) => {
          tries++;
          await sql`set transaction isolation level serializable`.execute(transaction);
          const seen = await transaction.selectFrom('api_keys').select('id').where('name', '=', other).execute();
          if (tries === 2) bothStarted();
          await both;
          const row = { id: own, name: own, role: 'viewer', hash: own, created_at_ms: 1 };
          await transaction.insertInto('api_keys').values(row).execute();
          return seen.length;
        });
      const seen = await Promise.all([skewed('a', 'b'), skewed('b', 'a')]);
      expect([...seen].sort((a, b) => a - b)).toEqual([0, 1]);
      expect(tries).toBe(3);
      await store.close();
    });

    test('replicas that start together on an empty database bring it up together', async () => {
      const url = await (await running()).createDatabase();
      const stores = await Promise.all(Array.from({ length: 4 }, () => openStore({ kind: 'postgres', url })));
      for (const { db } of stores) expect(await db.selectFrom('runs').select('id').execute()).toEqual([]);
      await Promise.all(stores.map((store) => store.close()));
    });

    test('a server that cannot be used is said to be so, with what it said', async () => {
      const url = await (await running()).createDatabase();
      for (const [wrong, said] of [
        ['postgres://graft@/nowhere?host=%2Fnonexistent', 'ENOENT'],
        ['postgres://graft@localhost:1/nowhere', 'ECONNREFUSED'],
        [url.replace('/graft_', '/none_'), 'does not exist'],
        [url.replace('graft@', 'nobody@'), 'does not exist'],
      ] as const) {
        await expect(openStore({ kind: 'postgres', url: wrong })).rejects.toMatchObject({
          code: 'DATABASE_UNAVAILABLE',
          message: expect.stringContaining(said),
        });
      }
    });
  });
} else {
  process.stderr.write(
    `Skipped: the store on PostgreSQL. ${missing}. GRAFT_REQUIRE_POSTGRES=1 makes this a failure.\n`,
  );
  test(`the store on PostgreSQL is skipped: ${missing}`, () => {
    expect(process.env['GRAFT_REQUIRE_POSTGRES']).not.toBe('1');
  });
}
