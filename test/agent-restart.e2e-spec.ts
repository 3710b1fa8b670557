/** An agent process that is killed or stopped in the middle of a real training, and started again on its directory. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { jest } from '@jest/globals';

import { FakeCoordinator } from '../client-agent/src/daemon/fake-coordinator.contract.js';
import { decodeUpdateManifest } from '../protos/src/message-codec.adapter.js';
import { signRoundKey } from '../protos/src/identity/signatures.adapter.js';
import type * as wire from '../protos/src/messages.js';
import { folder, programs, run, start, stop, until, type Running } from './support/commands.js';
import { siteTraining, type SiteTraining } from './support/site-training.js';

jest.setTimeout(180_000);

interface Status {
  readonly state: string;
  readonly cause?: string;
  readonly jobs: readonly { readonly activity?: string; readonly step?: number }[];
}

let coordinator: FakeCoordinator;
let site: SiteTraining;
let place: { path: string; remove: () => Promise<void> };
let agent: Running;

const home = (): string => join(place.path, 'agent');

const status = async (): Promise<Status | undefined> => {
  const text = await readFile(join(home(), 'status.json'), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as Status);
};

const step = (what: string, isReached: (activity: string, step: number) => boolean): Promise<number> =>
  until(what, async () => {
    const job = (await status())?.jobs[0];
    return job?.step !== undefined && isReached(job.activity ?? '', job.step) ? job.step : undefined;
  });

const startAgent = (): Running => start(programs.agent, ['start', '--dir', home()]);

/** The training of the site as a coordinator asks for it. */
function plan(id: string, epochs = 400): wire.Instruction {
  const { pipeline, training, seed, base } = site.fit({ epochs });
  const claim = { runId: 'run', round: 1, roundKey: coordinator.roundKey.publicKey };
  return {
    id,
    kind: 'train',
    train: {
      ...claim,
      taskId: 'task',
      base: base.blob,
      baseEncoding: base.encoding,
      layoutHash: base.layoutHash,
      roundKeySignature: signRoundKey(coordinator.identity, claim),
      deadlineMs: Date.now() + 600_000,
      work: 'fit',
      fit: {
        pipeline: { ...pipeline, preprocessing: JSON.stringify(pipeline.preprocessing) },
        training,
        seed,
        calibrateTrunk: false,
      },
    },
  };
}

/** Everything that the plan names, at the coordinator. */
async function publish(): Promise<void> {
  for (const name of await readdir(site.places.blobs)) {
    coordinator.put(await readFile(join(site.places.blobs, name)));
  }
}

beforeAll(async () => {
  coordinator = await FakeCoordinator.start();
  site = await siteTraining({ examples: 600, columns: 12, width: 32, depth: 2 });
  place = await folder();
  const data = ['--data', site.places.dataFile];
  const where = [
    '--server',
    coordinator.enrolmentAddress,
    '--token',
    'token',
    '--fingerprint',
    coordinator.fingerprint,
  ];
  const { exit, stderr } = await run(programs.agent, ['enroll', '--dir', home(), ...where, ...data]);
  if (exit !== 0) throw new Error(`the site could not enrol: ${stderr}`);
  const file = join(home(), 'agent.yaml');
  await writeFile(file, (await readFile(file, 'utf8')).replace(/^stopLimitMs: .*$/m, 'stopLimitMs: 200'));
});
beforeEach(async () => {
  await coordinator.reset();
  await publish();
});
afterEach(() => stop(agent));
afterAll(async () => {
  coordinator.kill();
  await site.remove();
  await place.remove();
});

const update = async (): Promise<Float32Array> => {
  const report = await until('the update', async () => coordinator.updates[0]);
  return coordinator.open(report);
};

describe('a training whose agent', () => {
  let whole: Float32Array;

  it('is left alone ends with an update', async () => {
    agent = startAgent();
    coordinator.send(plan('undisturbed'));
    whole = await update();
    expect(Math.max(...whole.map(Math.abs))).toBeGreaterThan(0.01);
  });

  it('is killed goes on from its checkpoint at the next start, to the same bits', async () => {
    agent = startAgent();
    coordinator.send(plan('killed'));
    await step('the first steps', (activity, done) => activity === 'training' && done > 0);
    await run(programs.agent, ['pause', '--dir', home()]);
    const stoppedAt = await step('the pause', (activity) => activity === 'paused');
    await until('the checkpoint', async () =>
      (await readdir(join(home(), 'cache/training'))).some((name) => name.endsWith('.checkpoint')) ? true : undefined,
    );
    agent.process.kill('SIGKILL');
    await agent.exited;
    expect(coordinator.updates).toEqual([]);
    await run(programs.agent, ['resume', '--dir', home()]);
    agent = startAgent();
    expect(await step('the training to go on', (activity) => activity === 'training')).toBeGreaterThan(stoppedAt);
    expect(await update()).toEqual(whole);
  });

  it('is told to stop keeps a checkpoint, ends with a sentence, and goes on from there', async () => {
    agent = startAgent();
    // Minutes of work on any machine.
    coordinator.send(plan('stopped', 10_000));
    await step('the first steps', (activity, done) => activity === 'training' && done > 0);
    // A training of less than two seconds is not worth a checkpoint.
    await new Promise((done) => setTimeout(done, 2_500));
    const before = await step('the last step', (activity) => activity === 'training');
    agent.process.kill('SIGTERM');
    expect(await agent.exited).toBe(0);
    expect(await status()).toMatchObject({
      state: 'stopped',
      cause: expect.stringContaining('train of round 1 goes on from its checkpoint'),
    });
    agent = startAgent();
    expect(await step('the training to go on', (activity) => activity === 'training')).toBeGreaterThan(before);
    expect(coordinator.failures).toEqual([]);
  });

  it('is killed with a finished update sends that, and trains nothing again', async () => {
    coordinator.largestUpload = 0;
    agent = startAgent();
    coordinator.send(plan('finished'));
    await until('the record', async () =>
      readFile(join(home(), 'outbox/finished/record.json'), 'utf8').catch(() => undefined),
    );
    agent.process.kill('SIGKILL');
    await agent.exited;
    coordinator.largestUpload = Infinity;
    coordinator.heartbeats = [];
    agent = startAgent();
    expect(await update()).toEqual(whole);
    expect(coordinator.heartbeats.filter(({ activity }) => activity === 'training')).toEqual([]);
    expect(coordinator.updates.map(({ manifest }) => decodeUpdateManifest(manifest).round)).toEqual([1]);
  });
});
