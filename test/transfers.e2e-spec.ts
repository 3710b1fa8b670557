/**
 * Blobs that are cut off on the way: connections that break after some bytes, kill -9 of either side in the middle, a
 * coordinator that comes back on another port. Real processes; every byte goes through a proxy that counts.
 */
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';

import { jest } from '@jest/globals';

import { programs, start, stop, until, type Running } from './support/commands.js';
import { openCuttingProxy, type CuttingProxy } from './support/cutting-proxy.js';
import {
  coordinatorArguments,
  coordinatorProgram,
  openFederation,
  pointTo,
  readReady,
  type Federation,
} from './support/federation.js';

jest.setTimeout(180_000);

const mebibyte = 1 << 20;
/** What may be on its way when a connection is cut: the window of 4 MiB, and chunks in hand at both ends. */
const inFlight = 9 * mebibyte;
const site = 'lund';

let federation: Federation;
let coordinator: Running;
let agent: Running;
let proxy: CuttingProxy;
let agentHome: string;
/** Header of a safetensors file with the one tensor of a probe. */
const headerBytes = 80;
/** Each test has a base of its own size: one that no agent has. */
let parameters = 6_000_000;

beforeAll(async () => {
  federation = await openFederation();
  ({ coordinator } = federation);
  proxy = await openCuttingProxy(federation.ready.grpcAddress);
  agentHome = join(federation.directory, site);
  agent = await federation.addAgent(site, proxy.address);
  await federation.untilConnected(1);
  await stop(agent);
  // Slow enough to be cut in the middle; fast enough for a test.
  await configure('deltas: auto', 'deltas: never\n  maxUpload: 8 MB/s\n  maxDownload: 8 MB/s');
  await startAgent();
});

afterAll(async () => {
  await stop(agent);
  await stop(coordinator);
  await proxy.close();
  await federation.close();
});

async function startAgent(): Promise<void> {
  agent = start(programs.agent, ['start', '--dir', agentHome]);
  await federation.untilConnected(1);
}

/** Changes agent.yaml. */
async function configure(before: string, after: string): Promise<void> {
  const file = join(agentHome, 'agent.yaml');
  const text = await readFile(file, 'utf8');
  expect(text).toContain(before);
  await writeFile(file, text.replace(before, after));
}

async function kill(running: Running): Promise<void> {
  running.process.kill('SIGKILL');
  await running.exited;
}

async function startRun(): Promise<{ runId: string; baseBytes: number; sealedBytes: number }> {
  parameters += 1;
  const cohort = { min: 1, goal: 1, max: 1 };
  const runId = await federation.startProbe({ name: `probe-${parameters}`, parameters, add: 0.5, rounds: 1, cohort });
  const deltaBytes = 4 * parameters;
  const sealedBytes = deltaBytes + 16 * Math.ceil(deltaBytes / (mebibyte - 16));
  return { runId, baseBytes: 2 * parameters + headerBytes, sealedBytes };
}

const system = (): Promise<{ bytesUp: number; bytesDown: number }> => federation.call('GET', '/system');

/** Bytes of chunks that the agent said it would send, upload after upload, newest last. */
async function announced(): Promise<number[]> {
  const lines = (await readFile(join(agentHome, 'sent.jsonl'), 'utf8')).trim().split('\n');
  const entries = lines.map((line) => JSON.parse(line) as { what: string; bytes: number });
  return entries.filter(({ what }) => what === 'update').map(({ bytes }) => bytes);
}

/** Size of the half-received file below a folder. */
async function partBytes(folder: string, isPart: (name: string) => boolean): Promise<number> {
  for (const name of await readdir(folder).catch(() => []))
    if (isPart(name)) return (await stat(join(folder, name))).size;
  return 0;
}
const downloaded = (): Promise<number> => partBytes(join(agentHome, 'cache/blobs'), (name) => name.endsWith('.part'));
const uploaded = (): Promise<number> => partBytes(join(federation.home, 'blobs/partial'), (name) => name.length === 64);

const wholeChunks = (bytes: number): number => Math.floor(bytes / mebibyte) * mebibyte;

it('a connection that is cut in both directions costs what was on its way, and no chunk is stored twice', async () => {
  const before = { ...proxy.passed(), ...(await system()) };
  const cuts = proxy
    .cutAfter('down', 5 * mebibyte)
    .then(() => proxy.cutAfter('up', 7 * mebibyte))
    .then(() => proxy.cutAfter('up', 9 * mebibyte));
  const { runId, baseBytes, sealedBytes } = await startRun();
  await federation.untilCommitted(runId, 1);
  await cuts;
  const after = { ...proxy.passed(), ...(await system()) };
  expect(after.bytesUp - before.bytesUp).toBe(sealedBytes);
  expect(after.up - before.up).toBeLessThan(sealedBytes + 2 * inFlight);
  expect(after.bytesDown - before.bytesDown).toBeLessThan(baseBytes + inFlight);
  expect(after.down - before.down).toBeLessThan(baseBytes + inFlight + mebibyte);
  const sent = await announced();
  expect(sent.length).toBeGreaterThanOrEqual(3);
  expect(sent.at(0)).toBe(sealedBytes);
  expect(sent.every((bytes, index) => index === 0 || bytes <= (sent[index - 1] ?? 0))).toBe(true);
  expect(sent.at(-1)).toBeLessThan(sealedBytes - 8 * mebibyte);
});

it('an agent that is killed in a download and in an upload goes on with both', async () => {
  const { runId, baseBytes, sealedBytes } = await startRun();
  await until('a part of the base', async () => ((await downloaded()) > 4 * mebibyte ? true : undefined));
  await kill(agent);
  const kept = wholeChunks(await downloaded());
  expect(kept).toBeGreaterThanOrEqual(4 * mebibyte);
  const atKill = await system();
  await startAgent();
  await until('the upload', async () => ((await uploaded()) > 6 * mebibyte ? true : undefined));
  // Only the rest came: chunk by chunk, as the coordinator counts them.
  expect((await system()).bytesDown - atKill.bytesDown).toBe(baseBytes - kept);
  await kill(agent);
  await until('the end of the cut call', async () => {
    const now = await uploaded();
    await new Promise((done) => setTimeout(done, 300));
    return now === (await uploaded()) ? true : undefined;
  });
  const stored = wholeChunks(await uploaded());
  const before = await announced();
  await startAgent();
  await federation.untilCommitted(runId, 1);
  const after = await announced();
  expect(after.length).toBe(before.length + 1);
  expect(after.at(-1)).toBe(sealedBytes - stored);
});

it('a coordinator that is killed in an upload and comes back on another port gets the rest', async () => {
  const { runId, sealedBytes } = await startRun();
  await until('the upload', async () => ((await uploaded()) > 6 * mebibyte ? true : undefined));
  await kill(coordinator);
  const stored = wholeChunks(await uploaded());
  expect(stored).toBeGreaterThanOrEqual(6 * mebibyte);
  await stop(agent);
  const grpcPort = await freePort();
  const args = coordinatorArguments(federation.home);
  args[args.indexOf('--grpc-port') + 1] = String(grpcPort);
  coordinator = start(coordinatorProgram, args);
  const { pid } = coordinator.process;
  await until('the coordinator', async () => {
    const ready = await readReady(federation.home, coordinator);
    return ready?.pid === pid ? ready : undefined;
  });
  await proxy.close();
  proxy = await openCuttingProxy(`localhost:${grpcPort}`);
  await pointTo(agentHome, proxy.address);
  await startAgent();
  await federation.untilCommitted(runId, 1);
  expect((await system()).bytesUp).toBe(sealedBytes - stored);
  expect((await announced()).at(-1)).toBe(sealedBytes - stored);
  expect(proxy.passed().up).toBeLessThan(sealedBytes - stored + 2 * mebibyte);
});

it('an agent that has a checkpoint fetches the next one as the difference to it', async () => {
  await stop(agent);
  await configure('deltas: never', 'deltas: always');
  await startAgent();
  const before = await system();
  parameters += 1;
  const rounds = 4;
  const cohort = { min: 1, goal: 1, max: 1 };
  const runId = await federation.startProbe({ name: `probe-${parameters}`, parameters, add: 0.5, rounds, cohort });
  await federation.untilCommitted(runId, rounds);
  const down = (await system()).bytesDown - before.bytesDown;
  expect(down).toBeGreaterThanOrEqual(2 * parameters);
  expect(down).toBeLessThan(2 * parameters + rounds * 0.1 * 2 * parameters);
  const last = await federation.round(runId, rounds);
  expect(last.record.updates.accepted).toBe(1);
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}
