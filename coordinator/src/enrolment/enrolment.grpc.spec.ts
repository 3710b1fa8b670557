/** The Enrolment service on loopback with real TLS, keys and certificates; tokens are kept in a list. */
import { X509Certificate } from 'node:crypto';

import { jest } from '@jest/globals';
import { credentials } from '@grpc/grpc-js';

import { GraftError } from '@graft/core/error';
import { enrolmentClient, type EnrolmentClient } from '@graft/protos/clients.adapter';
import { agreementKeyFromSeed, signingKeyFromSeed } from '@graft/protos/identity/keys';
import { randomSeed } from '@graft/protos/identity/random.adapter';
import { signEnrolment } from '@graft/protos/identity/signatures';
import type { EnrolRequest } from '@graft/protos/messages';
import { enrolmentService } from '@graft/protos/service-definitions.adapter';
import {
  createCa,
  createServerCertificate,
  signAgentCertificate,
  type CertifiedKey,
} from '@graft/protos/trust/authority.adapter';
import { createCsr } from '@graft/protos/trust/csr.adapter';

import { startGrpcServer, type GrpcServer } from '../federation/grpc-server.driver.js';
import { silentLog } from '../server/log.js';
import type { NewAgent } from './enrol.js';
import { enrolmentHandlers } from './enrolment.grpc.js';
import { rateLimit } from './rate-limit.js';

// Keys and certificates of many sites take a loaded machine their time.
jest.setTimeout(30_000);

let ca: CertifiedKey;
let server: GrpcServer;
let client: EnrolmentClient;
let open: Map<string, string>;
let agents: NewAgent[];

const invalid = (): GraftError => new GraftError('TOKEN_INVALID', 'this token is not open');
const identityKey = new Uint8Array(32).fill(9);

beforeAll(async () => {
  ca = await createCa('ca', { atMs: Date.now() });
});

beforeEach(async () => {
  open = new Map([['token-1', 'lund']]);
  agents = [];
  const tls = await createServerCertificate(ca, ['localhost', '127.0.0.1'], { atMs: Date.now() });
  server = await startGrpcServer({
    host: '127.0.0.1',
    port: 0,
    portFlag: '--enrol-port',
    tls: { key: tls.privateKeyPem, certificate: tls.certificatePem },
    service: enrolmentService,
    handlers: enrolmentHandlers({
      rateLimit: rateLimit({ burst: 3, refillMs: 60_000, addresses: 10 }),
      newId: () => `agent-${agents.length + 1}`,
      checkToken: async (token) => {
        if (!open.has(token)) throw invalid();
      },
      redeem: async (token, agent) => {
        const name = open.get(token);
        if (name === undefined) throw invalid();
        open.delete(token);
        agents.push(agent);
        return name;
      },
      sign: async (csr, agentId, atMs) => signAgentCertificate(ca, csr, { agentId, atMs }),
      caCertificate: ca.certificatePem,
      identityKey,
      federationAddress: () => 'hub:9090',
      log: silentLog,
      clock: { nowMs: () => Date.now() },
    }),
  });
  client = enrolmentClient(`localhost:${server.port}`, credentials.createSsl(Buffer.from(ca.certificatePem)));
});

afterEach(async () => {
  client.close();
  await server.close(200);
});

async function request(token = 'token-1', change: Partial<EnrolRequest> = {}): Promise<EnrolRequest> {
  const signing = signingKeyFromSeed(randomSeed());
  const agreementKey = agreementKeyFromSeed(randomSeed()).publicKey;
  const { csrDer: csr } = await createCsr();
  return {
    minProtocol: 1,
    maxProtocol: 1,
    agentVersion: '0.1.0',
    token,
    csr,
    signingKey: signing.publicKey,
    agreementKey,
    proof: signEnrolment(signing, { token, csr, agreementKey }),
    clockMs: Date.now(),
    ...change,
  };
}

test('a site with a token gets a certificate of the CA in the name of its agent, and the keys to trust', async () => {
  const response = await client.enrol(await request());
  expect(response).toMatchObject({ agentId: 'agent-1', agentName: 'lund', federationAddress: 'hub:9090', protocol: 1 });
  expect([...response.identityKey]).toEqual([...identityKey]);
  const certificate = new X509Certificate(response.certificate);
  expect(certificate.subject).toBe('CN=agent-1');
  expect(certificate.verify(new X509Certificate(ca.certificatePem).publicKey)).toBe(true);
  expect(agents).toHaveLength(1);
});

test('a token is good for one site, also when two come at once', async () => {
  const both = await Promise.allSettled([client.enrol(await request()), client.enrol(await request())]);
  expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  await expect(client.enrol(await request())).rejects.toMatchObject({ code: 16 });
  expect(agents).toHaveLength(1);
});

test.each([
  ['an unknown token', { token: 'guess' }, 16],
  ['a clock that is an hour off', { clockMs: Date.now() + 3_600_000 }, 9],
  ['a newer protocol', { minProtocol: 5, maxProtocol: 6 }, 9],
  ['a key that is too short', { signingKey: new Uint8Array(31) }, 3],
  ['a proof by nobody', { proof: new Uint8Array(64) }, 3],
  ['a proof that is none', { proof: new Uint8Array(3) }, 3],
  ['another CSR than the one that was signed', { csr: new Uint8Array(300) }, 3],
  ['a token like a book', { token: 'x'.repeat(100_000) }, 16],
])('%s is refused, and the token stays good', async (_what, change, code) => {
  await expect(client.enrol(await request('token-1', change))).rejects.toMatchObject({ code });
  expect(open.has('token-1')).toBe(true);
  expect(agents).toEqual([]);
});

test('a CSR that is garbage under a valid proof is refused, and the token stays good', async () => {
  const signing = signingKeyFromSeed(randomSeed());
  const csr = new Uint8Array(300).fill(0x30);
  const agreementKey = new Uint8Array(32).fill(1);
  const proof = signEnrolment(signing, { token: 'token-1', csr, agreementKey });
  const hostile = await request('token-1', { csr, agreementKey, proof, signingKey: signing.publicKey });
  await expect(client.enrol(hostile)).rejects.toMatchObject({ code: 3 });
  expect(open.has('token-1')).toBe(true);
});

test('an address that keeps guessing has to wait, and is told how long', async () => {
  const guesses = await Promise.allSettled(
    Array.from({ length: 5 }, async (_, i) => client.enrol(await request(`guess-${i}`))),
  );
  const codes = guesses.map((one) => (one.status === 'rejected' ? (one.reason as { code: number }).code : 0));
  expect(codes.filter((code) => code === 16)).toHaveLength(3);
  expect(codes.filter((code) => code === 8)).toHaveLength(2);
  await expect(client.enrol(await request('guess-again'))).rejects.toMatchObject({
    details: expect.stringMatching(/wait \d+ s/u),
  });
});

test('many sites behind one address enrol at once, also where somebody there keeps guessing', async () => {
  await Promise.allSettled(Array.from({ length: 5 }, async (_, i) => client.enrol(await request(`guess-${i}`))));
  const tokens = Array.from({ length: 8 }, (_, i) => `behind-the-nat-${i}`);
  for (const token of tokens) open.set(token, token);
  const answers = await Promise.all(tokens.map(async (token) => client.enrol(await request(token))));
  expect(answers.map(({ agentName }) => agentName)).toEqual(tokens);
});
