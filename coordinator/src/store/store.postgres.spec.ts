/** The store's contract on a PostgreSQL server, where there is one. */
import { startPostgres, whyNoPostgres, type TemporaryPostgres } from '../../../test/postgres.adapter.js';
import { openStore } from './open-store.driver.js';
import { storeContract } from './store.contract.js';

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
  test.skip(`the store on PostgreSQL: skipped, ${missing}`, () => undefined);
}
