/** The whole coordinator in this process, on a directory of its own and free ports. */
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { credentials } from '@grpc/grpc-js';
import { pino } from 'pino';

import { enrolmentClient, federationClient } from '@graft/protos/clients.adapter';
import { agreementKeyFromSeed, signingKeyFromSeed } from '@graft/protos/identity/keys';
import { randomSeed } from '@graft/protos/identity/random.adapter';
import { signEnrolment } from '@graft/protos/identity/signatures';
import type * as wire from '@graft/protos/messages';
import { createCsr } from '@graft/protos/trust/csr.adapter';
import { fetchCaByFingerprint } from '@graft/protos/trust/fingerprint.adapter';

import { readConfig, type Config } from '../config/config.js';
import { startCoordinator, type Coordinator } from './coordinator.driver.js';

const log = pino({ level: 'silent' });
let directory: string;
let config: Config;
let coordinator: Coordinator;

const start = async (): Promise<Coordinator> => startCoordinator(config, log);

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'graft coordinator '));
  config = readConfig(['--dir', directory, '--api-port', '0', '--grpc-port', '0', '--enrol-port', '0'], {});
  coordinator = await start();
}, 180_000);

afterAll(async () => {
  await coordinator.stop();
  await rm(directory, { recursive: true });
}, 60_000);

async function api(method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
  const key = (await readFile(join(directory, 'admin.key'), 'utf8')).trim();
  const response = await fetch(`${coordinator.ready.apiUrl}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return (await response.json()) as Record<string, unknown>;
}

const portOf = (address: string): number => Number(address.split(':').at(-1));

test('a coordinator says where it is, in a file that the command line reads, and keeps its first key to itself', async () => {
  expect(JSON.parse(await readFile(join(directory, 'coordinator.json'), 'utf8'))).toEqual(coordinator.ready);
  expect((await stat(join(directory, 'admin.key'))).mode & 0o777).toBe(0o600);
  expect((await fetch(`${coordinator.ready.apiUrl}/health/ready`)).status).toBe(200);
  expect(await api('GET', '/system')).toMatchObject({
    connectedAgents: 0,
    caFingerprint: coordinator.ready.caFingerprint,
  });
});

test('a second coordinator on the directory is refused, and the first goes on', async () => {
  await expect(start()).rejects.toMatchObject({
    code: 'DIRECTORY_LOCKED',
    message: expect.stringContaining(String(process.pid)),
  });
  expect((await fetch(`${coordinator.ready.apiUrl}/health/live`)).status).toBe(200);
}, 60_000);

test('a site enrols with nothing but its line, connects, and is thrown out when it is revoked', async () => {
  const invite = await api('POST', '/enrolment-tokens', { name: 'lund' });
  const [server, token] = [String(invite['server']), String(invite['token'])];
  const ca = Buffer.from(await fetchCaByFingerprint('localhost', portOf(server), String(invite['fingerprint'])));
  const signing = signingKeyFromSeed(randomSeed());
  const agreementKey = agreementKeyFromSeed(randomSeed()).publicKey;
  const { csrDer: csr, privateKeyPem } = await createCsr();
  const proof = signEnrolment(signing, { token, csr, agreementKey });
  const hello = { minProtocol: 1, maxProtocol: 1, agentVersion: 'test', clockMs: Date.now() };
  const enrolment = enrolmentClient(server, credentials.createSsl(ca));
  const enrolled = await enrolment.enrol({ ...hello, token, csr, signingKey: signing.publicKey, agreementKey, proof });
  enrolment.close();
  expect(enrolled.federationAddress).toBe(coordinator.ready.grpcAddress);

  const tls = credentials.createSsl(ca, Buffer.from(privateKeyPem), Buffer.from(enrolled.certificate));
  const client = federationClient(enrolled.federationAddress, tls);
  const stream = client.connect(hello);
  const first = await new Promise<wire.Instruction>((resolve) => stream.once('data', resolve));
  expect(first.kind).toBe('welcome');
  expect(await api('GET', '/agents/lund')).toMatchObject({
    id: enrolled.agentId,
    connected: true,
    state: 'active',
    agentVersion: 'test',
  });
  const ended = new Promise<{ code?: number }>((resolve) => stream.once('error', resolve));
  expect(await api('POST', '/agents/lund/revoke')).toMatchObject({ state: 'revoked', connected: false });
  expect((await ended).code).toBe(7);
  client.close();
}, 60_000);

test('after a stop the file is gone; after a start the ports, the keys and the agents are the same', async () => {
  const before = coordinator.ready;
  await coordinator.stop();
  await expect(stat(join(directory, 'coordinator.json'))).rejects.toMatchObject({ code: 'ENOENT' });
  coordinator = await start();
  expect(coordinator.ready).toEqual(before);
  expect(await api('GET', '/agents/lund')).toMatchObject({ state: 'revoked' });
}, 120_000);

describe('a port that is taken', () => {
  let holder: Server;
  let taken: number;

  beforeAll(async () => {
    holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
    taken = (holder.address() as AddressInfo).port;
    await coordinator.stop();
  }, 60_000);

  afterAll(async () => {
    holder.close();
    coordinator = await start();
  }, 60_000);

  test.each([
    ['apiPort', '--api-port'],
    ['grpcPort', '--grpc-port'],
    ['enrolPort', '--enrol-port'],
  ] as const)(
    '%s is named with its flag, and the directory is free again',
    async (name, flag) => {
      const refused = startCoordinator({ ...config, [name]: taken }, log);
      await expect(refused).rejects.toMatchObject({
        code: 'PORT_IN_USE',
        message: expect.stringMatching(new RegExp(`${taken}.*${flag}`, 'u')),
      });
    },
    60_000,
  );

  test('where it was the last start’s and any would do, another is taken', async () => {
    await writeFile(
      join(directory, 'ports.json'),
      JSON.stringify({ apiPort: taken, grpcPort: taken, enrolPort: taken }),
    );
    coordinator = await start();
    expect(portOf(coordinator.ready.grpcAddress)).not.toBe(taken);
    await coordinator.stop();
  }, 60_000);
});
