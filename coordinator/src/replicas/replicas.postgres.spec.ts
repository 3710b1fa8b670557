/** The tables of replicas on a PostgreSQL server, where there is one. */
import { startPostgres, whyNoPostgres, type TemporaryPostgres } from '../../../test/postgres.adapter.js';
import { openStore, type Store } from '../store/open-store.driver.js';
import { foldJobsContract } from './folds/fold-jobs.contract.js';
import { replicasContract } from './replicas.contract.js';

const missing = await whyNoPostgres();
let server: TemporaryPostgres | undefined;
let store: Store;

if (missing === undefined) {
  beforeAll(async () => {
    server = await startPostgres();
    store = await openStore({ kind: 'postgres', url: await server.createDatabase() });
  }, 90_000);

  afterAll(async () => {
    await store.close();
    await server?.stop();
  });

  replicasContract(() => store);
  foldJobsContract(() => store);
} else {
  test(`replicas on PostgreSQL are skipped: ${missing}`, () => {
    expect(process.env['GRAFT_REQUIRE_POSTGRES']).not.toBe('1');
  });
}
