/** The tables of replicas on the embedded database. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { openStore, type Store } from '../store/open-store.driver.js';
import { foldJobsContract } from './folds/fold-jobs.contract.js';
import { replicasContract } from './replicas.contract.js';

let directory: string;
let store: Store;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'graft-replicas-'));
  store = await openStore({ kind: 'embedded', directory });
}, 60_000);

afterAll(async () => {
  await store.close();
  await rm(directory, { recursive: true });
});

replicasContract(() => store);
foldJobsContract(() => store);
