/** Quarantines in the database, from the step that gives one to the operator who ends it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { agentTraits } from '../rounds/agent-traits.repository.js';
import { planOf } from '../rounds/machine/scenario.contract.js';
import { storeQuarantine } from '../rounds/quarantine.repository.js';
import { openStore, type Store } from '../store/open-store.driver.js';
import { inTransaction } from '../store/transaction.js';
import type { Agents } from './agents.js';
import { agentsRepository } from './agents.repository.js';

let directory: string;
let store: Store;
let nowMs = 1000;
const changed: string[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'graft quarantine '));
  store = await openStore({ kind: 'embedded', directory });
  const bytes = Buffer.alloc(32);
  await store.db
    .insertInto('agents')
    .values({
      id: 'agent-1',
      name: 'lab',
      state: 'active',
      signing_key: bytes,
      agreement_key: bytes,
      certificate: 'PEM',
      created_at_ms: 1,
    })
    .execute();
  for (const name of ['digits', 'letters']) {
    const blob = JSON.stringify({ hash: '0'.repeat(64), sizeBytes: 4 });
    const shape = { layout_hash: '', parameter_count: 1, weights: blob, fp16: blob, created_at_ms: 1 };
    await store.db
      .insertInto('tasks')
      .values({ id: `task-${name}`, name, kind: 'probe', spec: '{}', ...shape })
      .execute();
  }
}, 120_000);

afterAll(async () => {
  await store.close();
  await rm(directory, { recursive: true });
});

const agents = (): Agents =>
  agentsRepository({
    db: store.db,
    online: () => new Map(),
    activity: () => new Map(),
    disconnect: () => undefined,
    changed: async (agentId) => void changed.push(agentId),
    clock: { nowMs: () => nowMs },
  });

async function quarantine(task: string, sinceMs: number, untilMs = 1e9): Promise<void> {
  const standing = { reason: 'its updates were refused', sinceMs, untilMs, times: 1 };
  const effect = { kind: 'quarantine', agentId: 'agent-1', quarantine: standing } as const;
  const plan = planOf({ taskId: `task-${task}` });
  await inTransaction(store.db, (db) => storeQuarantine(db, plan, effect, sinceMs));
}

const known = async (): Promise<unknown> => (await agentTraits(store.db, ['agent-1']))['agent-1']?.quarantines;
const shown = async (): Promise<unknown> => (await agents().get('lab')).quarantines?.map(({ task }) => task);
const audited = async (): Promise<string[]> =>
  (await store.db.selectFrom('audit').select('action').orderBy('seq').execute()).map(({ action }) => action);

describe('an agent in quarantine', () => {
  it('is so for every run of the task that comes, and the operator sees why', async () => {
    await quarantine('digits', 1000);
    await quarantine('letters', 1000, 2000);
    expect(await known()).toEqual({
      'task-digits': { reason: 'its updates were refused', sinceMs: 1000, untilMs: 1e9, times: 1 },
      'task-letters': { reason: 'its updates were refused', sinceMs: 1000, untilMs: 2000, times: 1 },
    });
    expect((await agents().list())[0]?.quarantines?.[0]).toEqual({
      task: 'digits',
      reason: 'its updates were refused',
      sinceMs: 1000,
      untilMs: 1e9,
    });
    expect(await audited()).toEqual(['agent.quarantined', 'agent.quarantined']);
  });

  it('is let back for one task by its name, its runs are told, and the audit log says by whom', async () => {
    nowMs = 1500;
    expect(await shown()).toEqual(['digits', 'letters']);
    const back = await agents().letBack('lab', 'digits', 'first');
    expect(back.quarantines?.map(({ task }) => task)).toEqual(['letters']);
    expect(changed).toEqual(['agent-1']);
    expect(await known()).toMatchObject({ 'task-digits': { releasedAtMs: 1500 } });
    expect((await audited()).slice(-1)).toEqual(['agent.let-back']);
  });

  it('is shown no more once its time is over', async () => {
    nowMs = 2000;
    expect(await shown()).toBeUndefined();
  });

  it('may be quarantined again, and whoever is not cannot be let back', async () => {
    await quarantine('digits', 3000);
    expect(await known()).toMatchObject({ 'task-digits': { sinceMs: 3000 } });
    nowMs = 4000;
    expect((await agents().letBack('agent-1', undefined, 'first')).quarantines).toBeUndefined();
    await expect(agents().letBack('lab', 'digits', 'first')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});
