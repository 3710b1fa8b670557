import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { jest } from '@jest/globals';
import { status } from '@grpc/grpc-js';

import { openAgentDirectory } from '../config/agent-directory.adapter.js';
import { FakeCoordinator } from '../daemon/fake-coordinator.contract.js';
import { enrol } from './enrol.adapter.js';

// Processes, TLS and the disk of a loaded machine take their time.
jest.setTimeout(30_000);

let folder: string;
let coordinator: FakeCoordinator;

beforeAll(async () => {
  coordinator = await FakeCoordinator.start();
});
afterAll(() => coordinator.kill());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'graft enrol '));
  coordinator.tokens.add('token');
  coordinator.refuseEnrolment = undefined;
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const options = () => ({
  directory: folder,
  server: coordinator.enrolmentAddress,
  token: 'token',
  fingerprint: coordinator.fingerprint,
  data: { data: 'data.yaml' },
  timeoutMs: 5_000,
  onProgress: () => undefined,
});
const isEnrolled = () => stat(join(folder, 'agent.yaml')).then(Boolean, () => false);

describe('enrolling', () => {
  it('leaves keys that only their owner may read, and a certificate for them', async () => {
    const config = await enrol(options());
    expect(config).toMatchObject({ agentId: 'agent-1', agentName: 'lund', federation: coordinator.federationAddress });
    const agent = await openAgentDirectory(folder);
    for (const file of [agent.paths.keys.tls, agent.paths.keys.signing, agent.paths.keys.agreement]) {
      expect((await stat(file)).mode & 0o777).toBe(0o600);
    }
    expect(agent.identityKey).toEqual(coordinator.identity.publicKey);
  });

  it('logs that it left the site, and no private key among it', async () => {
    await enrol(options());
    const log = await readFile(join(folder, 'sent.jsonl'), 'utf8');
    expect(JSON.parse(log)).toMatchObject({ what: 'enrolment', to: coordinator.enrolmentAddress });
  });

  it('spends its token', async () => {
    await enrol(options());
    await expect(enrol(options())).rejects.toMatchObject({ code: 'TOKEN_INVALID' });
  });

  it('refuses a coordinator of another fingerprint, before the token is sent', async () => {
    const fingerprint = `sha256:${'0'.repeat(64)}`;
    await expect(enrol({ ...options(), fingerprint })).rejects.toMatchObject({ code: 'CA_MISMATCH' });
    expect(coordinator.tokens.has('token')).toBe(true);
    expect(await isEnrolled()).toBe(false);
  });

  it.each([
    [{ code: status.UNAUTHENTICATED, details: 'the token has expired' }, 'TOKEN_INVALID'],
    [{ code: status.FAILED_PRECONDITION, details: 'the clocks differ by 3600 s' }, 'CLOCK_SKEW'],
    [{ code: status.FAILED_PRECONDITION, details: 'the agent speaks protocol 2' }, 'PROTOCOL_VERSION'],
    [{ code: status.RESOURCE_EXHAUSTED, details: 'too many attempts' }, 'UNAVAILABLE'],
  ])('says what a refusal means: %j', async (refusal, code) => {
    coordinator.refuseEnrolment = refusal;
    await expect(enrol(options())).rejects.toMatchObject({ code, message: expect.stringContaining(refusal.details) });
    expect(await isEnrolled()).toBe(false);
  });

  it('says which address nobody answers at', async () => {
    await expect(enrol({ ...options(), server: '127.0.0.1:1' })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('127.0.0.1:1'),
    });
  });
});
