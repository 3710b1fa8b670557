import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { jest } from '@jest/globals';
import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import { verifyUpdate } from '@graft/protos/identity/signatures.adapter';
import { decodeUpdateManifest } from '@graft/protos/message-codec.adapter';
import { status } from '@grpc/grpc-js';

import { openAgentDirectory } from '../config/agent-directory.adapter.js';
import { readIfPresent } from '../config/files.adapter.js';
import { enrol } from '../enrol/enrol.adapter.js';
import { currentRelease } from '../releases/release-store.adapter.js';
import type { DaemonEvent } from './daemon-events.js';
import { FakeCoordinator, until } from './fake-coordinator.contract.js';
import { FakeTrainer } from './fake-trainer.contract.js';
import { readOutbox } from './outbox.adapter.js';
import { runAgent } from './run-agent.driver.js';
import { readSentLog } from './sent-log.adapter.js';
import { readStatusFile } from './status-file.adapter.js';

// Processes, TLS and the disk of a loaded machine take their time.
jest.setTimeout(30_000);

let folder: string;
let coordinator: FakeCoordinator;
let trainer: FakeTrainer;
let running: { stop: AbortController; ended: Promise<void>; events: DaemonEvent[] } | undefined;

function start(options: { readonly timeoutMs?: number } = {}) {
  const stop = new AbortController();
  const events: DaemonEvent[] = [];
  const emit = (event: DaemonEvent): void => void events.push(event);
  const ended = runAgent({ directory: folder, stop: stop.signal, emit, trainer, ...options });
  ended.catch(() => undefined);
  running = { stop, ended, events };
  return running;
}

async function stop(): Promise<void> {
  running?.stop.abort();
  await running?.ended.catch(() => undefined);
  running = undefined;
}

const pauseFor = (ms: number): Promise<string> => new Promise((resolve) => setTimeout(resolve, ms, 'still running'));

const trainings = (): number => trainer.calls.filter((name) => name === 'probe').length;

let template: string;

beforeAll(async () => {
  template = await mkdtemp(join(tmpdir(), 'graft enrolled '));
  coordinator = await FakeCoordinator.start();
  await enrol({
    directory: template,
    server: coordinator.enrolmentAddress,
    token: 'token',
    fingerprint: coordinator.fingerprint,
    data: { data: 'data.yaml' },
    timeoutMs: 5_000,
    onProgress: () => undefined,
  });
});
afterAll(() => rm(template, { recursive: true, force: true }));
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'graft agent '));
  await cp(template, folder, { recursive: true });
  await coordinator.reset();
  trainer = new FakeTrainer();
});
afterEach(async () => {
  await stop();
  coordinator.kill();
  await rm(folder, { recursive: true, force: true });
});

describe('a round', () => {
  it('brings a sealed, signed update that opens with the key of the round, and a log of what left', async () => {
    start();
    coordinator.send(coordinator.probe('i-1', 3, { length: 1000, add: 0.25 }));
    const update = await until(() => coordinator.updates[0], 'the update');
    const { signingKey, paths } = await openAgentDirectory(folder);
    expect(verifyUpdate(signingKey.publicKey, update.manifest, update.signature)).toBe(true);
    const manifest = decodeUpdateManifest(update.manifest);
    expect(manifest).toMatchObject({ agentId: 'agent-1', runId: 'run', round: 3, parameterCount: 1000 });
    expect([...new Set(await coordinator.open(update))]).toEqual([0.25]);
    const { entries } = await readSentLog(paths.sentLog);
    expect(entries.find(({ what }) => what === 'update')).toMatchObject({
      sha256: manifest.ciphertext?.hash,
      bytes: manifest.ciphertext?.sizeBytes,
      task: 'task',
      run: 'run',
      round: 3,
    });
    expect(coordinator.hellos[0]?.capabilities).toMatchObject({ trainingExamples: 9, heldOutExamples: 1 });
  });

  it('is delivered again, not trained again, where the coordinator misses its bytes', async () => {
    coordinator.verdict = { accepted: false, reason: 'incomplete', message: 'the sealed update is not stored' };
    start();
    coordinator.send(coordinator.probe('i-1', 1));
    await until(() => coordinator.updates[0], 'the first report');
    coordinator.verdict = { accepted: true, reason: '', message: '' };
    const sent = await until(
      () => running?.events.find((event) => event.event === 'update-sent' && event.accepted),
      'the accepted report',
    );
    expect(sent).toMatchObject({ round: 1 });
    expect(coordinator.updates.length).toBeGreaterThan(1);
    expect(trainings()).toBe(1);
  });

  it('is told of while it runs', async () => {
    let open: () => void = () => undefined;
    trainer.gate = new Promise((resolve) => (open = resolve));
    start();
    coordinator.send(coordinator.probe('i-1', 1));
    const heartbeat = await until(
      () => coordinator.heartbeats.find(({ activity }) => activity === 'training'),
      'a heartbeat of the training',
    );
    expect(heartbeat).toMatchObject({ runId: 'run', round: 1, progress: 0.5 });
    open();
    await until(() => coordinator.updates[0], 'the update');
  });

  it('whose key the coordinator did not sign is refused before anything is fetched or trained', async () => {
    start();
    const plan = coordinator.probe('i-1', 1);
    if (plan.kind !== 'train') throw new Error('not a plan');
    coordinator.send({ ...plan, train: { ...plan.train, roundKeySignature: new Uint8Array(64) } });
    const failure = await until(() => coordinator.failures[0], 'the failure');
    expect(failure).toMatchObject({ instructionId: 'i-1', code: 'PLAN_REFUSED' });
    expect(trainings()).toBe(0);
    expect(coordinator.downloads).toEqual([]);
  });

  it.each([
    ['past its deadline', { deadlineMs: 1 }, 'deadline passed'],
    ['of another layout', { layoutHash: 'a'.repeat(64) }, 'layout'],
    ['without a base', { base: null }, 'no base'],
  ])('%s is refused', async (_, change, word) => {
    start();
    const plan = coordinator.probe('i-1', 1);
    if (plan.kind !== 'train') throw new Error('not a plan');
    coordinator.send({ ...plan, train: { ...plan.train, ...change } });
    const failure = await until(() => coordinator.failures[0], 'the failure');
    expect(failure).toMatchObject({ code: 'PLAN_REFUSED', message: expect.stringContaining(word) });
  });

  it('that is cancelled ends, and nothing of it is sent', async () => {
    let open: () => void = () => undefined;
    trainer.gate = new Promise((resolve) => (open = resolve));
    const { events } = start();
    coordinator.send(coordinator.probe('i-1', 1));
    await until(() => trainings() === 1, 'the training');
    coordinator.say({ id: 'c', kind: 'cancel', cancel: { runId: 'run', round: 1, reason: 'closed' } });
    await until(() => events.some(({ event }) => event === 'cancelled'), 'the cancellation');
    open();
    coordinator.unsettled = [];
    coordinator.send(coordinator.probe('i-2', 2));
    await until(() => coordinator.updates[0], 'the next update');
    expect(coordinator.updates.map(({ manifest }) => decodeUpdateManifest(manifest).round)).toEqual([2]);
    expect(coordinator.failures).toEqual([]);
  });
});

describe('a trainer that dies', () => {
  const death = () => new GraftError('TRAINER_FAILED', 'ended by SIGKILL');

  it('once is replaced', async () => {
    trainer.failures = [death()];
    start();
    coordinator.send(coordinator.probe('i-1', 1));
    await until(() => coordinator.updates[0], 'the update');
    expect(trainings()).toBe(2);
  });

  it('twice fails the job, and the agent goes on', async () => {
    trainer.failures = [death(), death()];
    start();
    coordinator.send(coordinator.probe('i-1', 1));
    const failure = await until(() => coordinator.failures[0], 'the failure');
    expect(failure).toMatchObject({ code: 'TRAINER_FAILED', round: 1 });
    coordinator.send(coordinator.probe('i-2', 2));
    await until(() => coordinator.updates[0], 'the next update');
  });
});

describe('a connection', () => {
  it('that is cut in an upload costs the chunk in hand, not the ones before', async () => {
    coordinator.cutUploadAfter = 1;
    start();
    coordinator.send(coordinator.probe('i-1', 1, { length: (limits.chunkBytes / 4) * 3 }));
    const update = await until(() => coordinator.updates[0], 'the update');
    expect(await coordinator.open(update)).toHaveLength((limits.chunkBytes / 4) * 3);
    const { entries } = await readSentLog(join(folder, 'sent.jsonl'));
    const sent = entries.filter(({ what }) => what === 'update').map(({ bytes }) => bytes);
    expect(sent).toHaveLength(2);
    expect((sent[0] ?? 0) - (sent[1] ?? 0)).toBe(limits.chunkBytes);
    expect(trainings()).toBe(1);
  });

  it('that is cut in a download goes on from the last whole chunk', async () => {
    coordinator.cutDownloadAfter = 1;
    start();
    coordinator.send(coordinator.probe('i-1', 1, { length: (limits.chunkBytes / 4) * 2 }));
    await until(() => coordinator.updates[0], 'the update');
    expect(coordinator.downloads.map(({ firstChunk }) => firstChunk)).toEqual([0, 1]);
  });

  it('that is lost while training does not end the training; the same instruction does not start another', async () => {
    let open: () => void = () => undefined;
    trainer.gate = new Promise((resolve) => (open = resolve));
    const { events } = start();
    coordinator.send(coordinator.probe('i-1', 1));
    await until(() => trainings() === 1, 'the training');
    coordinator.kill();
    await until(() => events.some(({ event }) => event === 'disconnected'), 'the loss');
    await coordinator.listen();
    await until(() => coordinator.hellos[1], 'the reconnection');
    open();
    await until(() => coordinator.updates[0], 'the update');
    expect(trainings()).toBe(1);
  });

  it('is tried again with its address and cause in words', async () => {
    coordinator.kill();
    const { events } = start();
    const lost = await until(() => events.find(({ event }) => event === 'disconnected'), 'the event');
    expect(lost).toMatchObject({
      address: coordinator.federationAddress,
      cause: expect.stringContaining('ECONNREFUSED'),
    });
    await coordinator.listen();
    await until(() => events.some(({ event }) => event === 'connected'), 'the connection');
  });

  it('that never comes ends the agent under a time-out', async () => {
    coordinator.kill();
    await expect(start({ timeoutMs: 500 }).ended).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it.each([
    [{ code: status.PERMISSION_DENIED, details: 'revoked by the operator' }, 'AGENT_REVOKED'],
    [
      { code: status.FAILED_PRECONDITION, details: 'the coordinator speaks protocol 2, the agent 1' },
      'PROTOCOL_VERSION',
    ],
  ])('that is refused for good ends the agent: %j', async (refusal, code) => {
    coordinator.refuseConnect = refusal;
    await expect(start().ended).rejects.toMatchObject({ code, row: { exit: 2 } });
    expect(await readStatusFile(join(folder, 'status.json'))).toMatchObject({ state: 'stopped' });
  });

  it('to a coordinator whose clock is off by an hour is refused with both in words, and tried again', async () => {
    coordinator.skewMs = 3_600_000;
    const { events } = start();
    const lost = await until(() => events.find(({ event }) => event === 'disconnected'), 'the refusal');
    expect(lost).toMatchObject({ code: 'CLOCK_SKEW', cause: expect.stringContaining('3600 s behind') });
  });

  it('is left when the coordinator drains, and opened again when it said', async () => {
    const { events } = start();
    await until(() => coordinator.hellos[0], 'the connection');
    coordinator.say({ id: 'd', kind: 'drain', drain: { reconnectAfterMs: 50 } });
    await until(() => coordinator.hellos[1], 'the second connection');
    expect(events.some(({ event }) => event === 'drained')).toBe(true);
  });
});

describe('a report that cannot be delivered now', () => {
  it('does not hold up the ones behind it, says why, and is delivered later', async () => {
    coordinator.largestUpload = 1_000;
    const { events } = start();
    coordinator.send(coordinator.probe('i-1', 1, { length: 1_000 }));
    await until(() => readIfPresent(join(folder, 'outbox/i-1/record.json')), 'the first record');
    coordinator.send(coordinator.probe('i-2', 2, { runId: 'another run' }));
    const first = await until(() => coordinator.updates[0], 'the second update');
    expect(decodeUpdateManifest(first.manifest).round).toBe(2);
    const problem = events.find(({ event }) => event === 'delivery-problem');
    expect(problem).toMatchObject({ round: 1, message: expect.stringContaining('the limit is 1000') });
    coordinator.largestUpload = Infinity;
    const second = await until(() => coordinator.updates[1], 'the first update');
    expect(decodeUpdateManifest(second.manifest).round).toBe(1);
  });
});

describe('a finished report of a round that is cancelled', () => {
  it('is withdrawn', async () => {
    coordinator.largestUpload = 0;
    start();
    coordinator.send(coordinator.probe('i-1', 1));
    await until(() => readIfPresent(join(folder, 'outbox/i-1/record.json')), 'the record');
    coordinator.say({ id: 'c', kind: 'cancel', cancel: { runId: 'run', round: 1, reason: 'closed' } });
    await until(async () => (await readOutbox(join(folder, 'outbox'))).length === 0, 'the withdrawal');
    expect(coordinator.updates).toEqual([]);
  });
});

describe('an agent that is told to stop', () => {
  it('finishes the transfer in hand', async () => {
    let release: () => void = () => undefined;
    coordinator.holdUploads = new Promise((resolve) => (release = resolve));
    const { ended, stop: asked } = start();
    coordinator.send(coordinator.probe('i-1', 1));
    await until(() => coordinator.uploads.size === 1, 'the upload');
    asked.abort();
    expect(await Promise.race([ended.then(() => 'ended'), pauseFor(200)])).toBe('still running');
    release();
    await ended;
    expect(coordinator.updates).toHaveLength(1);
    expect(await readOutbox(join(folder, 'outbox'))).toEqual([]);
  });
});

describe('an agent that was ended', () => {
  it('with a finished update sends that, and does not train again', async () => {
    coordinator.refuseUploads = { code: status.UNAVAILABLE, details: 'busy' };
    start();
    coordinator.send(coordinator.probe('i-1', 1));
    await until(() => trainings() === 1, 'the training');
    await until(() => readIfPresent(join(folder, 'outbox/i-1/record.json')), 'the record');
    await stop();
    coordinator.refuseUploads = undefined;
    start();
    await until(() => coordinator.updates[0], 'the update');
    expect(trainings()).toBe(1);
  });

  it('with an update that nobody wants any more hears why, and goes on', async () => {
    coordinator.refuseUploads = { code: status.FAILED_PRECONDITION, details: 'no plan asks for an upload' };
    coordinator.verdict = { accepted: false, reason: 'unknown-round', message: '' };
    const { events } = start();
    coordinator.send(coordinator.probe('i-1', 1));
    const sent = await until(() => events.find(({ event }) => event === 'update-sent'), 'the verdict');
    expect(sent).toMatchObject({ accepted: false, reason: 'unknown-round' });
    expect(await readOutbox(join(folder, 'outbox'))).toEqual([]);
  });

  it('keeps a second one away while it runs', async () => {
    start();
    await until(() => coordinator.hellos[0], 'the connection');
    const second = runAgent({ directory: folder, stop: new AbortController().signal, emit: () => undefined, trainer });
    await expect(second).rejects.toMatchObject({ code: 'AGENT_DIRECTORY_LOCKED' });
  });

  it('in the middle of training trains again after its restart', async () => {
    trainer.gate = new Promise(() => undefined);
    start();
    coordinator.send(coordinator.probe('i-1', 1));
    await until(() => trainings() === 1, 'the training');
    await stop();
    trainer = new FakeTrainer();
    start();
    await until(() => coordinator.updates[0], 'the update');
    expect(trainings()).toBe(1);
  });
});

describe('a release', () => {
  const manifest = () => ({
    id: 'r-1',
    taskId: 'task',
    runId: 'run',
    round: 4,
    precision: 'fp32',
    pipeline: {
      preprocessing: { kind: 'features', length: 2 },
      tail: { graph: coordinator.put(Buffer.from('graph')), weights: [coordinator.put(Buffer.from('weights'))] },
      labels: ['a', 'b'],
    },
  });

  it('that is signed is installed and acknowledged', async () => {
    start();
    coordinator.send({ id: 'i-1', kind: 'install', install: coordinator.release(manifest()) });
    expect(await until(() => coordinator.installed[0], 'the report')).toEqual({
      instructionId: 'i-1',
      releaseId: 'r-1',
    });
    expect((await currentRelease(join(folder, 'releases')))?.manifest.id).toBe('r-1');
    await stop();
    expect(await readStatusFile(join(folder, 'status.json'))).toMatchObject({ release: { id: 'r-1', round: 4 } });
  });

  it('that somebody else signed is refused before it is fetched', async () => {
    start();
    const release = coordinator.release(manifest());
    coordinator.send({ id: 'i-1', kind: 'install', install: { ...release, signature: new Uint8Array(64) } });
    const failure = await until(() => coordinator.failures[0], 'the failure');
    expect(failure).toMatchObject({ instructionId: 'i-1', code: 'RELEASE_INVALID' });
    expect(coordinator.downloads).toEqual([]);
    expect(await currentRelease(join(folder, 'releases'))).toBeUndefined();
  });
});
