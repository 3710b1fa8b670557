/** Certificates as TLS uses them: real sockets on loopback, mutual TLS, and every kind of stranger. */
import { Server, ServerCredentials, credentials } from '@grpc/grpc-js';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { enrolmentClient } from '../clients.adapter.js';
import { type EnrolmentHandlers, enrolmentService } from '../service-definitions.adapter.js';
import { type CertifiedKey, createCa, createServerCertificate, signAgentCertificate } from './authority.adapter.js';
import { createCsr } from './csr.adapter.js';
import { describeCertificate, fetchCaByFingerprint, fingerprint } from './fingerprint.adapter.js';
import { x509, createKeyPair, keyAlgorithm } from './x509.adapter.js';

const atMs = Date.now();
const dayMs = 86_400_000;
const hosts = ['localhost', '127.0.0.1', '::1'];

interface Client {
  readonly cert: string;
  readonly key: string;
}

async function agent(ca: CertifiedKey, validity: { atMs: number; days?: number } = { atMs }): Promise<Client> {
  const { csrDer, privateKeyPem } = await createCsr();
  return { cert: await signAgentCertificate(ca, csrDer, { agentId: 'agent-1', ...validity }), key: privateKeyPem };
}

describe('certificates', () => {
  let ca: CertifiedKey;
  let otherCa: CertifiedKey;
  let server: CertifiedKey;
  const listening: TcpServer[] = [];

  beforeAll(async () => {
    ca = await createCa('graft test', { atMs });
    otherCa = await createCa('graft test', { atMs });
    server = await createServerCertificate(ca, hosts, { atMs });
  });

  afterEach(() => {
    for (const one of listening.splice(0)) one.close();
  });

  /**
   * A server that asks for a client certificate of `ca` and answers with the name in it. One that does not enforce
   * answers a stranger too, with the reason why the other would have closed the connection.
   */
  async function serve({ certificatePem, privateKeyPem } = server, rejectUnauthorized = true): Promise<number> {
    const tls = createServer(
      { cert: certificatePem, key: privateKeyPem, ca: ca.certificatePem, requestCert: true, rejectUnauthorized },
      (socket) => {
        const { CN } = socket.getPeerCertificate().subject;
        socket.end(socket.authorized ? String(CN) : String(socket.authorizationError));
      },
    );
    listening.push(tls);
    await once(tls.listen(0, '127.0.0.1'), 'listening');
    return (tls.address() as AddressInfo).port;
  }

  /** The reason for which a server refuses this client, after it has closed the connection unanswered. */
  async function refusal(client: Client): Promise<string> {
    expect(await call(await serve(), client)).toBe('');
    return call(await serve(server, false), client);
  }

  /** What the server answers; rejects with the TLS error of either side. */
  async function call(port: number, client: Partial<Client>, trusted = ca, host = 'localhost'): Promise<string> {
    const socket: TLSSocket = connect({
      port,
      host: '127.0.0.1',
      servername: host,
      ca: trusted.certificatePem,
      ...client,
    });
    const parts: Uint8Array[] = [];
    for await (const part of socket) parts.push(part as Uint8Array);
    return Buffer.concat(parts).toString();
  }

  test('let an agent in under the id that the coordinator chose', async () => {
    expect(await call(await serve(), await agent(ca))).toBe('agent-1');
  });

  test('of no agent are refused', async () => {
    await expect(call(await serve(), {})).rejects.toMatchObject({ code: 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED' });
  });

  test('of an agent of another authority are refused, even where its name is the same', async () => {
    expect(await refusal(await agent(otherCa))).toBe('SELF_SIGNED_CERT_IN_CHAIN');
  });

  test('that have expired, or that do not hold yet, are refused', async () => {
    expect(await refusal(await agent(ca, { atMs: atMs - 2 * dayMs, days: 1 }))).toBe('CERT_HAS_EXPIRED');
    expect(await refusal(await agent(ca, { atMs: atMs + dayMs }))).toBe('CERT_NOT_YET_VALID');
  });

  test('of an agent do not serve as a coordinator', async () => {
    const { cert, key } = await agent(ca);
    const port = await serve({ certificatePem: cert, privateKeyPem: key });
    await expect(call(port, await agent(ca))).rejects.toMatchObject({ code: 'INVALID_PURPOSE' });
  });

  test('of a coordinator do not serve as an agent', async () => {
    const stranger = { cert: server.certificatePem, key: server.privateKeyPem };
    expect(await refusal(stranger)).toBe('INVALID_PURPOSE');
  });

  test('of a coordinator of another authority, or for another host, are refused by the agent', async () => {
    const port = await serve();
    await expect(call(port, await agent(ca), otherCa)).rejects.toThrow(/self-signed|unable to/u);
    await expect(call(port, await agent(ca), ca, 'elsewhere.example')).rejects.toMatchObject({
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    });
  });

  test('are what Node reads in them: chain, names, uses, dates', async () => {
    const { cert } = await agent(ca);
    const [leaf, root] = [new X509Certificate(cert), new X509Certificate(ca.certificatePem)];
    expect(leaf.checkIssued(root)).toBe(true);
    expect(leaf.verify(root.publicKey)).toBe(true);
    expect([leaf.ca, root.ca]).toEqual([false, true]);
    expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']);
    expect(new X509Certificate(server.certificatePem).checkIP('127.0.0.1')).toBe('127.0.0.1');
    expect(describeCertificate(cert)).toEqual({
      commonName: 'agent-1',
      notBeforeMs: Math.floor((atMs - 5 * 60_000) / 1000) * 1000,
      notAfterMs: Math.floor((atMs + 365 * dayMs) / 1000) * 1000,
      fingerprint: fingerprint(cert),
    });
  });

  test('serve gRPC with mutual TLS', async () => {
    const grpc = new Server();
    const handlers: EnrolmentHandlers = {
      enrol: (call, callback) => {
        const name = call.getAuthContext()?.sslPeerCertificate?.subject.CN;
        const none = new Uint8Array();
        const response = { certificate: none, caCertificate: none, identityKey: none, federationAddress: '' };
        callback(null, { ...response, agentId: String(name), agentName: '', protocol: 1 });
      },
    };
    grpc.addService(enrolmentService, handlers);
    const pair = { cert_chain: Buffer.from(server.certificatePem), private_key: Buffer.from(server.privateKeyPem) };
    const secure = ServerCredentials.createSsl(Buffer.from(ca.certificatePem), [pair], true);
    const port = await new Promise<number>((resolve, reject) => {
      grpc.bindAsync('127.0.0.1:0', secure, (error, bound) => (error === null ? resolve(bound) : reject(error)));
    });
    const { cert, key } = await agent(ca);
    const [root, chain, secret] = [ca.certificatePem, cert, key].map((text) => Buffer.from(text));
    const client = enrolmentClient(`127.0.0.1:${port}`, credentials.createSsl(root, secret, chain));
    const none = new Uint8Array();
    const keys = { csr: none, signingKey: none, agreementKey: none, proof: none };
    const request = { minProtocol: 1, maxProtocol: 1, agentVersion: '', token: '', clockMs: 0, ...keys };
    expect((await client.enrol(request)).agentId).toBe('agent-1');
    client.close();
    grpc.forceShutdown();
  });

  describe('a request for one', () => {
    test('is signed whatever its subject says', async () => {
      const keys = await createKeyPair();
      const csr = await x509.Pkcs10CertificateRequestGenerator.create({
        name: 'CN=admin',
        keys,
        signingAlgorithm: keyAlgorithm,
      });
      const signed = await signAgentCertificate(ca, new Uint8Array(csr.rawData), { agentId: 'agent-9', atMs });
      expect(describeCertificate(signed).commonName).toBe('agent-9');
    });

    test('is refused when its signature is not by its own key', async () => {
      const { csrDer } = await createCsr();
      const forged = Uint8Array.from(csrDer);
      forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
      await expect(signAgentCertificate(ca, forged, { agentId: 'a', atMs })).rejects.toMatchObject({
        code: 'INVALID_REQUEST',
        message: 'the CSR is not signed by the key that it holds',
      });
    });

    test.each([
      ['empty', new Uint8Array(), /0 bytes are not a certificate request/u],
      ['no DER', Uint8Array.of(1, 2, 3), /3 bytes are not/u],
      ['too large', new Uint8Array(9000), /9000 bytes, the limit is 8192/u],
    ])('is refused when it is %s', async (_name, der, message) => {
      await expect(signAgentCertificate(ca, der, { agentId: 'a', atMs })).rejects.toMatchObject({
        code: 'INVALID_REQUEST',
        message: expect.stringMatching(message),
      });
    });
  });

  describe('of the authority', () => {
    test('are fetched from the coordinator by their fingerprint', async () => {
      const expected = fingerprint(ca.certificatePem);
      const fetched = await fetchCaByFingerprint(
        '127.0.0.1',
        await serve(),
        expected.toUpperCase().replace('SHA', 'sha'),
      );
      expect(fingerprint(fetched)).toBe(expected);
    });

    test('are refused with both fingerprints when they are others', async () => {
      const [expected, found] = [fingerprint(otherCa.certificatePem), fingerprint(ca.certificatePem)];
      const port = await serve();
      await expect(fetchCaByFingerprint('127.0.0.1', port, expected)).rejects.toMatchObject({
        code: 'CA_MISMATCH',
        message: `127.0.0.1:${port} has the authority ${found}, expected ${expected}`,
      });
    });

    test('are not asked for with half a fingerprint', async () => {
      await expect(fetchCaByFingerprint('127.0.0.1', 1, 'sha256:abc')).rejects.toMatchObject({
        code: 'INVALID_REQUEST',
      });
    });

    test('are not found where nobody listens, or where no TLS is spoken', async () => {
      const plain = createTcpServer((socket) => socket.resume().end('HTTP/1.1 400 Bad Request\r\n\r\n'));
      listening.push(plain);
      await once(plain.listen(0, '127.0.0.1'), 'listening');
      const { port } = plain.address() as AddressInfo;
      const expected = fingerprint(ca.certificatePem);
      await expect(fetchCaByFingerprint('127.0.0.1', port, expected)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      plain.close();
      await once(plain, 'close');
      await expect(fetchCaByFingerprint('127.0.0.1', port, expected)).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        message: expect.stringContaining('ECONNREFUSED'),
      });
    });
  });
});
