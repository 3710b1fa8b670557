import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { lockDirectory } from './directory-lock.adapter.js';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'graft lock '));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('the lock of a directory', () => {
  it('lets one process in at a time, by whatever name the directory is called', async () => {
    const other = join(folder, 'other name');
    await symlink(folder, other);
    const lock = await lockDirectory(folder);
    await expect(lockDirectory(folder)).rejects.toMatchObject({ code: 'AGENT_DIRECTORY_LOCKED' });
    await expect(lockDirectory(other)).rejects.toMatchObject({ code: 'AGENT_DIRECTORY_LOCKED' });
    await lock.release();
    await (await lockDirectory(folder)).release();
  });

  it('does not disturb another directory', async () => {
    const lock = await lockDirectory(folder);
    const other = await lockDirectory(join(folder, 'new'));
    await Promise.all([lock.release(), other.release()]);
    await expect(lockDirectory(folder).then((again) => again.release())).resolves.toBeUndefined();
  });
});
