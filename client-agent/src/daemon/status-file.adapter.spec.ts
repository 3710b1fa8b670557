import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { AgentStatus } from './agent-status.js';
import { openStatusFile, readStatusFile } from './status-file.adapter.js';

const first: AgentStatus = {
  pid: 1,
  version: '0',
  agentId: 'a',
  agentName: 'site',
  server: 'hub:9090',
  state: 'connected',
  sinceMs: 0,
  startedAtMs: 0,
  jobs: [{ kind: 'train', run: 'r', round: 1 }],
  queue: [],
  rounds: [],
};

describe('status.json', () => {
  it('has the last progress soon, also where nothing comes after it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'graft status '));
    try {
      const file = join(folder, 'status.json');
      const errors: unknown[] = [];
      const status = await openStatusFile(file, first, { nowMs: Date.now, onError: (error) => errors.push(error) });
      for (const step of [1, 2, 3]) {
        status.record({ event: 'progress', run: 'r', round: 1, activity: 'training', progress: 0.1, step });
      }
      status.record({ event: 'progress', run: 'r', round: 1, activity: 'paused', progress: 0.1, step: 3 });
      const activity = async (): Promise<string | undefined> => (await readStatusFile(file))?.jobs[0]?.activity;
      for (let tries = 0; (await activity()) !== 'paused' && tries < 200; tries++) await sleep(50);
      expect(await activity()).toBe('paused');
      expect(errors).toEqual([]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
