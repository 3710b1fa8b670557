/** The store's contract on the embedded database. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { openStore } from './open-store.driver.js';
import { storeContract } from './store.contract.js';

let directory: string;

describe('the store on the embedded database', () => {
  storeContract(async () => {
    directory = await mkdtemp(join(tmpdir(), 'graft store-'));
    return openStore({ kind: 'embedded', directory });
  });
});

afterAll(async () => rm(directory, { recursive: true, force: true }));
