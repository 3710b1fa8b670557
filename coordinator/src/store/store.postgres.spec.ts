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

    test('a server that is not there is an error, not a wait', async () => {
      const url = 'postgres://graft@/nowhere?host=%2Fnonexistent';
      await expect(openStore({ kind: 'postgres', url })).rejects.toMatchObject({ code: 'ENOENT' });
    });
  });
} else {
  test.skip(`the store on PostgreSQL: skipped, ${missing}`, () => undefined);
}
