/**
 * A federation on PostgreSQL and an S3 bucket, real servers both. In the middle of a run it is backed up and everything is lost:
 * database, bucket, keys and the coordinator's folder. What `graft restore` makes of the backup ends the run with the same agents.
 */
import { jest } from '@jest/globals';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { startPostgres, whyNoPostgres, type TemporaryPostgres } from './postgres.adapter.js';
import { startS3, whyNoS3, type TemporaryS3 } from './s3.adapter.js';
import { json, programs, start, stop, until, type Running } from './support/commands.js';
import { coordinatorProgram, openFederation, readReady, type Federation, type Run } from './support/federation.js';

jest.setTimeout(180_000);

const missing = (await whyNoPostgres()) ?? (await whyNoS3());
const it = missing === undefined ? test : test.skip;

let postgres: TemporaryPostgres;
let s3: TemporaryS3;
let bucket: string;
let federation: Federation;
let again: Running | undefined;

beforeAll(async () => {
  if (missing !== undefined) return;
  [postgres, s3] = await Promise.all([startPostgres(), startS3()]);
  bucket = await s3.createBucket();
  federation = await openFederation({
    env: {
      GRAFT_DB: await postgres.createDatabase(),
      GRAFT_BLOBS: `s3://${bucket}/hub`,
      GRAFT_BLOBS_ENDPOINT: s3.endpoint,
      GRAFT_BLOBS_ACCESS_KEY: s3.accessKeyId,
      GRAFT_BLOBS_SECRET_KEY: s3.secretAccessKey,
    },
  });
  await federation.addAgent('a');
  await federation.addAgent('b');
  await federation.untilConnected(2);
});

afterAll(async () => {
  await federation?.close();
  if (again !== undefined) await stop(again);
  await Promise.all([postgres?.stop(), s3?.stop()]);
});

const cohort = { min: 2, goal: 2, max: 2 };
/** What an agent has reported after the backup it does not report again: that round ends with its window. */
const task = { windowMs: 8_000, parameters: 300_000, add: 1, cohort };

it(`rounds are committed, and every blob of them lies in the bucket ${missing ?? ''}`, async () => {
  const runId = await federation.startProbe({ ...task, name: 'whole', rounds: 2 });
  expect((await federation.untilCommitted(runId, 2)).committedRounds).toBe(2);
  const stored = await readdir(join(s3.directory, bucket, 'hub', 'blobs'), { recursive: true });
  const blobs = stored.filter((name) => /[0-9a-f]{64}$/u.test(name));
  // A base and two checkpoints in two precisions, and four updates.
  expect(blobs.length).toBeGreaterThanOrEqual(3 * 2 + 4);
  const swept = await federation.call<{ blobs: number; keptBlobs: number }>('POST', '/sweeps', { dryRun: true });
  expect(swept).toMatchObject({ blobs: 0, keptBlobs: blobs.length });
});

it(`a run that was backed up in its middle goes on where everything else was lost ${missing ?? ''}`, async () => {
  const runId = await federation.startProbe({ ...task, name: 'lost', rounds: 12 });
  await federation.untilCommitted(runId, 2);
  const folder = join(federation.directory, 'backup');
  const passphrase = join(federation.directory, 'passphrase');
  await writeFile(passphrase, 'correct horse battery\n');
  const made = await json<{ keys: string; blobs: number }>(programs.graft, [
    'backup',
    folder,
    '--dir',
    federation.home,
    '--passphrase-file',
    passphrase,
  ]);
  expect(made).toMatchObject({ keys: 'passphrase' });

  federation.coordinator.process.kill('SIGKILL');
  await federation.coordinator.exited;
  await postgres.stop();
  await s3.stop();
  await rm(federation.home, { recursive: true });

  const home = join(federation.directory, 'restored');
  await mkdir(home);
  await json(programs.graft, ['restore', folder, '--dir', home, '--passphrase-file', passphrase]);
  const { apiUrl, grpcAddress, enrolAddress } = federation.ready;
  const port = (place: string): string => /\d+$/u.exec(place)?.[0] ?? '';
  const ports = ['--api-port', port(apiUrl), '--grpc-port', port(grpcAddress), '--enrol-port', port(enrolAddress)];
  again = start(coordinatorProgram, ['--dir', home, ...ports, '--log-level', 'warn']);
  const started = again;
  await until('the restored coordinator', async () => readReady(home, started));
  const ended = await until(
    'the end of the run',
    async () => {
      const run = await federation.call<Run>('GET', `/runs/${runId}`).catch(() => undefined);
      return run?.status === 'running' || run?.status === 'waiting' ? undefined : run;
    },
    90_000,
  );
  expect(ended).toMatchObject({ status: 'completed', committedRounds: 12 });
});
