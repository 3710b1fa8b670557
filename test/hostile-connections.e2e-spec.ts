/**
 * Who may join and what may be heard on the way: bad tokens, authorities, clocks and versions, garbage on the ports,
 * and a capture of the wire. An honest federation of real processes works through all of it.
 */
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { jest } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';

import type * as wire from '@graft/protos/messages';
import { enrolmentService } from '@graft/protos/service-definitions.adapter';
import { createCa, createServerCertificate, signAgentCertificate } from '@graft/protos/trust/authority.adapter';
import { createCsr } from '@graft/protos/trust/csr.adapter';

import { programs, run, start, stop, until, type Finished } from './support/commands.js';
import { openFederation, pointTo, type Federation, type Invite } from './support/federation.js';
import { callRefusal, clientOf, connectHostile, enrolHostile, hello, type Identity } from './support/hostile-agent.js';
import { filesWith, openProxy, repeated, type Proxy } from './support/wire.js';

jest.setTimeout(60_000);

const hourMs = 3_600_000;
const parameters = 300_000;
/** The agents' constant, and the one of the agent in this test: their mean is neither. */
const add = 0.001;
const ownAdd = 0.0013;
const sites = 3;

let federation: Federation;
let proxy: Proxy;
let guest: Identity;

beforeAll(async () => {
  federation = await openFederation();
  proxy = await openProxy(federation.ready.grpcAddress);
  const agents = Array.from({ length: sites }, async (_, index) =>
    federation.addAgent(`site-${index + 1}`, proxy.address),
  );
  [guest] = await Promise.all([enrolHostile(await federation.invite('guest')), ...agents]);
  await federation.untilConnected(sites);
});

afterAll(async () => {
  await federation?.close();
  await proxy?.close();
});

let enrolments = 0;

/** `graft-agent enroll` in a new folder, with one thing wrong. */
async function enroll(invite: Invite, wrong: Partial<Invite> = {}): Promise<Finished & { home: string }> {
  const { server, token, fingerprint } = { ...invite, ...wrong };
  const home = join(federation.directory, `newcomer-${++enrolments}`);
  const where = ['--server', server, '--token', token, '--fingerprint', fingerprint];
  return { ...(await run(programs.agent, ['enroll', '--dir', home, ...where])), home };
}

/** The first instruction of a new stream, or the error that ends it. */
async function welcome(identity: Identity, faults: Partial<wire.ConnectRequest> = {}): Promise<wire.Instruction> {
  const client = clientOf(identity);
  const stream = client.connect(hello(faults));
  try {
    return await new Promise((resolve, reject) => stream.once('data', resolve).once('error', reject));
  } finally {
    stream.on('error', () => undefined).cancel();
    client.close();
  }
}

/** An enrolment service with a certificate of another authority; it notes the tokens that it is given. */
async function openImpostor(
  chain: (own: string) => string,
): Promise<{ server: string; tokens: string[]; close(): void }> {
  const ca = await createCa('graft coordinator CA', { atMs: Date.now() });
  const { certificatePem, privateKeyPem } = await createServerCertificate(ca, ['localhost'], { atMs: Date.now() });
  const tokens: string[] = [];
  const server = new Server();
  server.addService(enrolmentService, {
    enrol: (call: { request: wire.EnrolRequest }, respond: (error: Error) => void) => {
      tokens.push(call.request.token);
      respond(new Error('thank you'));
    },
  });
  const pair = { private_key: Buffer.from(privateKeyPem), cert_chain: Buffer.from(chain(certificatePem)) };
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('localhost:0', ServerCredentials.createSsl(null, [pair]), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  return { server: `localhost:${port}`, tokens, close: () => server.forceShutdown() };
}

describe('a site that enrols', () => {
  it.each([
    [
      'a token that was never issued',
      async () => ({ ...(await federation.invite('wrong')), token: 'gt_never' }),
      /unknown|not one of ours|not known/,
    ],
    ['a token that has expired', async () => expired(), /expired/],
  ])('with %s is refused and told to ask for another', async (_, invitation, message) => {
    const { exit, stderr } = await enroll(await invitation());
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/GRAFT-1008.*\n(.*\n)*.*fix: +Ask the operator for a new one: graft site invite/);
    expect(exit).toBe(2);
  });

  async function expired(): Promise<Invite> {
    const invite = await federation.invite('late', 1000);
    await new Promise((done) => setTimeout(done, 1100));
    return invite;
  }

  it('with a used token is refused', async () => {
    const invite = await federation.invite('twice');
    await enrolHostile(invite);
    const { exit, stderr } = await enroll(invite);
    expect(stderr).toMatch(/used/);
    expect(exit).toBe(2);
  });

  it('expecting another authority stops before it sends its token, and shows both fingerprints', async () => {
    const invite = await federation.invite('careful');
    const fingerprint = `sha256:${'0'.repeat(64)}`;
    const { exit, stderr } = await enroll(invite, { fingerprint });
    expect(stderr).toContain(fingerprint);
    expect(stderr).toContain(federation.ready.caFingerprint);
    expect(stderr).toMatch(/fix: +Compare the fingerprint with the one that came with the token/);
    expect(exit).toBe(2);
    expect((await enroll(invite)).exit).toBe(0);
  });

  it.each([
    ['another authority', (own: string, _real: string) => own],
    ['another authority, and shows the real one', (own: string, real: string) => own + real],
  ])('at a server of %s stops before it sends its token', async (_, chain) => {
    const impostor = await openImpostor((own) => chain(own, guest.ca));
    try {
      const { exit, stderr } = await enroll(await federation.invite(`lured-${enrolments}`), {
        server: impostor.server,
      });
      expect(stderr).toMatch(/GRAFT-5002/);
      expect(exit).toBe(2);
      expect(impostor.tokens).toEqual([]);
    } finally {
      impostor.close();
    }
  });

  it.each([-hourMs, hourMs])(
    'with a clock that is off by %s ms is told both times, and its token stays good',
    async (offMs) => {
      const invite = await federation.invite(`clock-${offMs > 0 ? 'ahead' : 'behind'}`);
      const { code, fix, message } = await callRefusal(enrolHostile(invite, { clockMs: Date.now() + offMs }));
      expect(code).toBe('CLOCK_SKEW');
      expect(message).toMatch(
        /the coordinator's clock says \d{4}-.*Z, the agent's \d{4}-.*Z: 3(600|599|601) s apart, the limit is 300 s/,
      );
      expect(fix).toMatch(/^Set the clock \(NTP\)/);
      await expect(enrolHostile(invite)).resolves.toMatchObject({ agentId: expect.any(String) });
    },
  );

  it('with a newer protocol is told both ranges and whom to upgrade', async () => {
    const invite = await federation.invite('newer');
    const { code, message } = await callRefusal(enrolHostile(invite, { minProtocol: 2, maxProtocol: 3 }));
    expect(code).toBe('PROTOCOL_VERSION');
    expect(message).toBe('the coordinator speaks protocol 1, the agent 2 to 3: upgrade the coordinator');
  });
});

describe('an agent that connects', () => {
  it.each([-hourMs, hourMs])('with a clock that is off by %s ms is told both times', async (offMs) => {
    const { code, message } = await callRefusal(welcome(guest, { clockMs: Date.now() + offMs }));
    expect(code).toBe('CLOCK_SKEW');
    expect(message).toMatch(/36(00|01) s apart|3599 s apart/);
  });

  it('with a newer protocol is told both ranges and whom to upgrade', async () => {
    const { code, message } = await callRefusal(welcome(guest, { minProtocol: 2, maxProtocol: 2 }));
    expect(code).toBe('PROTOCOL_VERSION');
    expect(message).toBe('the coordinator speaks protocol 1, the agent 2: upgrade the coordinator');
  });

  it('with a certificate of another authority, for the name of an agent that exists, is not let in', async () => {
    const ca = await createCa('graft coordinator CA', { atMs: Date.now() });
    const { csrDer, privateKeyPem: privateKey } = await createCsr();
    const certificate = await signAgentCertificate(ca, csrDer, { agentId: guest.agentId, atMs: Date.now() });
    await expect(welcome({ ...guest, certificate, privateKey })).rejects.toMatchObject({ code: 14 });
    await expect(welcome(guest)).resolves.toMatchObject({ kind: 'welcome' });
  });

  it('to a server of another authority says so and does not speak', async () => {
    const impostor = await openImpostor((own) => own);
    const { home } = await enroll(await federation.invite('misled'));
    await pointTo(home, impostor.server);
    const agent = start(programs.agent, ['start', '--dir', home]);
    try {
      const line = await until('a complaint', async () => /.*certificate.*/.exec(agent.stdout() + agent.stderr())?.[0]);
      expect(line).toContain(impostor.server);
    } finally {
      await stop(agent);
      impostor.close();
    }
  });
});

describe('a capture of the wire and of the disks', () => {
  const own = new Float32Array(parameters).fill(ownAdd);

  it('finds a delta that is sent in the clear', async () => {
    const sink = createServer((socket) => socket.resume());
    await new Promise<void>((done) => sink.listen(0, '127.0.0.1', done));
    const plain = await openProxy(`127.0.0.1:${(sink.address() as AddressInfo).port}`);
    const socket = connect(Number(plain.address.split(':')[1]), '127.0.0.1');
    try {
      socket.write(Buffer.from(own.buffer));
      await until('the bytes', async () => (plain.up().byteLength >= own.byteLength ? true : undefined), 10_000);
      expect(plain.up().includes(repeated(ownAdd))).toBe(true);
      expect(plain.up().includes(repeated(add))).toBe(false);
    } finally {
      socket.destroy();
      await plain.close();
      sink.close();
    }
  });

  it('finds no delta of a round, though it finds the mean that the round made of them', async () => {
    const agent = connectHostile(guest, proxy.address);
    await federation.untilConnected(sites + 1);
    const cohort = { min: sites + 1, goal: sites + 1, max: sites + 1 };
    const runId = await federation.startProbe({ name: 'captured', parameters, add, rounds: 1, cohort });
    const plan = await agent.nextPlan();
    const verdict = await agent.answer(plan, parameters, { delta: (delta) => delta.set(own) });
    expect(verdict).toMatchObject({ accepted: true });
    await federation.untilCommitted(runId, 1);
    agent.close();

    const bytes = (sites + 1) * parameters * 4;
    expect(proxy.up().byteLength).toBeGreaterThan(bytes);
    for (const value of [add, ownAdd]) {
      expect(proxy.up().includes(repeated(value))).toBe(false);
      expect(proxy.down().includes(repeated(value))).toBe(false);
      expect((await filesWith(federation.directory, repeated(value))).found).toEqual([]);
    }
    const mean = (sites * Math.fround(add) + Math.fround(ownAdd)) / (sites + 1);
    const { found, searched } = await filesWith(federation.directory, repeated(mean));
    expect(found).toEqual([expect.stringMatching(/coordinator.blobs.[0-9a-f]{2}.[0-9a-f]{64}$/)]);
    expect(searched).toBeGreaterThan(bytes);
  });
});

describe('garbage on the ports', () => {
  const sockets: Socket[] = [];
  const timers: NodeJS.Timeout[] = [];

  afterAll(() => {
    for (const timer of timers) clearInterval(timer);
    for (const socket of sockets) socket.destroy();
  });

  function open(address: string, secure = false): Socket {
    const [host = '', port] = address.split(':');
    const { ca, privateKey: key, certificate: cert } = guest;
    const where = { host, port: Number(port) };
    const socket = secure ? connectTls({ ...where, ca, key, cert, ALPNProtocols: ['h2'] }) : connect(where);
    sockets.push(socket);
    return socket.on('error', () => undefined);
  }

  /** Random bytes, TLS that stops within its hello, requests of a byte in 50 ms, and random HTTP/2 inside good TLS. */
  function molest(address: string): void {
    for (let count = 0; count < 10; count++) {
      open(address).write(randomBytes(20_000));
      open(address).write(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01]));
      const slow = open(address);
      const text = 'GET / HTTP/1.1\r\nX-Slow: and more of it\r\n';
      let at = 0;
      timers.push(setInterval(() => slow.writable && slow.write(text[at++ % text.length] ?? ''), 50));
      if (!address.startsWith('127.')) open(address, true).write(randomBytes(20_000));
    }
  }

  it('does not keep an honest run from completing', async () => {
    const { apiUrl, grpcAddress, enrolAddress } = federation.ready;
    for (const address of [apiUrl.replace('http://', ''), grpcAddress, enrolAddress]) molest(address);
    const cohort = { min: sites, goal: sites, max: sites };
    const runId = await federation.startProbe({ name: 'molested', parameters, add, rounds: 2, cohort });
    await federation.untilCommitted(runId, 2);
    expect(await federation.call('GET', `/runs/${runId}`)).toMatchObject({ status: 'completed', committedRounds: 2 });
    await expect(welcome(guest)).resolves.toMatchObject({ kind: 'welcome' });
    expect(federation.coordinator.process.exitCode).toBeNull();
    expect(federation.coordinator.stdout() + federation.coordinator.stderr()).not.toMatch(/uncaught|unhandled/);
  });
});

describe('an agent that has been revoked', () => {
  it('is told so, and to ask the operator', async () => {
    await federation.call('POST', `/agents/${guest.agentId}/revoke`);
    const { code, fix, message } = await callRefusal(welcome(guest));
    expect(code).toBe('AGENT_REVOKED');
    expect(message).toBe(`agent 'guest' (${guest.agentId}) has been revoked`);
    expect(fix).toMatch(/^Ask the operator why/);
  });
});
