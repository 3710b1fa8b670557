import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { currentRelease, installRelease, installSteps, pruneReleases } from './release-store.adapter.js';

let folder: string;
let releases: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'graft releases '));
  releases = join(folder, 'releases');
  await mkdir(join(folder, 'blobs'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function blob(text: string) {
  const bytes = Buffer.from(text);
  const hash = createHash('sha256').update(bytes).digest('hex');
  await writeFile(join(folder, 'blobs', hash), bytes);
  return { hash, sizeBytes: bytes.length };
}

async function incoming(id: string) {
  const manifest = {
    id,
    taskId: 'task',
    runId: 'run',
    round: 1,
    precision: 'fp32',
    pipeline: {
      preprocessing: { kind: 'features', length: 2 },
      tail: { graph: await blob(`graph ${id}`), weights: [await blob(`weights ${id}`)] },
      labels: ['a', 'b'],
    },
    note: 'a field of a later version',
  };
  return {
    manifest: Buffer.from(JSON.stringify(manifest)),
    signature: new Uint8Array(64),
    blobPath: (hash: string) => join(folder, 'blobs', hash),
  };
}

describe('installing a release', () => {
  it('makes it the one that answers predictions', async () => {
    expect(await currentRelease(releases)).toBeUndefined();
    await installRelease(releases, await incoming('first'));
    await installRelease(releases, await incoming('second'));
    expect((await currentRelease(releases))?.manifest.id).toBe('second');
  });

  it('that is cut off after any step leaves a whole release in use, and can be repeated', async () => {
    const second = await incoming('second');
    const count = installSteps(releases, second).length;
    for (let done = 0; done <= count; done++) {
      await rm(releases, { recursive: true, force: true });
      await installRelease(releases, await incoming('first'));
      for (const step of installSteps(releases, second).slice(0, done)) await step.run();
      expect((await currentRelease(releases))?.manifest.id).toBe(done === count ? 'second' : 'first');
      await installRelease(releases, second);
      const current = await currentRelease(releases);
      expect(current?.manifest.id).toBe('second');
      expect((await readdir(current?.folder ?? '')).sort()).toHaveLength(4);
    }
  });

  it('refuses a blob that was changed, and keeps the release before it', async () => {
    await installRelease(releases, await incoming('first'));
    const second = await incoming('second');
    const changed = await blob('weights second');
    await writeFile(join(folder, 'blobs', changed.hash), 'weightS second');
    await expect(installRelease(releases, second)).rejects.toMatchObject({ code: 'RELEASE_INVALID' });
    expect((await currentRelease(releases))?.manifest.id).toBe('first');
  });

  it.each(['../first', '.hidden', '', 'a/b'])('refuses the id %j', async (id) => {
    const release = await incoming(id);
    expect(() => installSteps(releases, release)).toThrow(expect.objectContaining({ code: 'RELEASE_INVALID' }));
  });

  it('keeps as many old releases as it is told', async () => {
    for (const [index, id] of ['a', 'b', 'c', 'd'].entries()) {
      await installRelease(releases, await incoming(id));
      await utimes(join(releases, id), index + 1, index + 1);
    }
    await mkdir(join(releases, '.e.incoming'));
    await pruneReleases(releases, 1);
    expect((await readdir(releases)).sort()).toEqual(['c', 'current', 'd']);
  });
});
