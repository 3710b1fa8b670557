/**
 * Trust on first use without the leap of faith: a site gets the authority's fingerprint with its token, by another way,
 * and takes the authority's certificate from the coordinator only if it has that fingerprint.
 */
import { GraftError } from '@graft/core/error';
import { createHash, timingSafeEqual, X509Certificate } from 'node:crypto';
import { connect, type DetailedPeerCertificate } from 'node:tls';

const connectTimeoutMs = 10_000;
const form = /^sha256:[0-9a-f]{64}$/u;

/** `sha256:` and the hash of the certificate's DER, of the first certificate in `pem`. */
export function fingerprint(pem: string): string {
  return fingerprintOf(new X509Certificate(pem).raw);
}

/** What people and programs ask of a certificate. */
export function describeCertificate(pem: string): {
  readonly commonName: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly fingerprint: string;
} {
  const certificate = new X509Certificate(pem);
  return {
    commonName: /^CN=(.*)$/mu.exec(certificate.subject)?.[1] ?? '',
    notBeforeMs: Date.parse(certificate.validFrom),
    notAfterMs: Date.parse(certificate.validTo),
    fingerprint: fingerprintOf(certificate.raw),
  };
}

/**
 * The PEM of the authority that a coordinator presents, if it has this fingerprint. Nothing is sent on the connection.
 * Throws INVALID_REQUEST for a fingerprint of another form, UNAVAILABLE where nobody answers with TLS, CA_MISMATCH where
 * the authority is another one.
 */
export async function fetchCaByFingerprint(host: string, port: number, expected: string): Promise<string> {
  const wanted = expected.toLowerCase();
  if (!form.test(wanted)) {
    throw new GraftError('INVALID_REQUEST', `'${expected}' is not a fingerprint: sha256: and 64 hexadecimal digits`);
  }
  const chain = await peerChain(host, port);
  for (const der of chain) {
    if (timingSafeEqual(Buffer.from(fingerprintOf(der)), Buffer.from(wanted)))
      return new X509Certificate(der).toString();
  }
  const last = chain.at(-1);
  const found = last === undefined ? 'none' : fingerprintOf(last);
  throw new GraftError('CA_MISMATCH', `${host}:${port} has the authority ${found}, expected ${wanted}`, {
    details: { expected: wanted, found },
  });
}

function fingerprintOf(der: Uint8Array): string {
  return `sha256:${createHash('sha256').update(der).digest('hex')}`;
}

/** The certificates that a server presents, its own first. They are not verified here: the fingerprint is. */
async function peerChain(host: string, port: number): Promise<Uint8Array[]> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, rejectUnauthorized: false, timeout: connectTimeoutMs, ALPNProtocols: ['h2'] });
    const fail = (why: string, cause?: unknown): void => {
      socket.destroy();
      reject(new GraftError('UNAVAILABLE', `cannot read the certificate of ${host}:${port}: ${why}`, { cause }));
    };
    socket.once('error', (error) => fail(error.message, error));
    socket.once('timeout', () => fail(`no answer in ${connectTimeoutMs / 1000} s`));
    socket.once('close', () => fail('the connection was closed'));
    socket.once('secureConnect', () => {
      const chain: Uint8Array[] = [];
      let next: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
      while (next?.raw !== undefined && !chain.some((der) => next?.raw.equals(der))) {
        chain.push(next.raw);
        next = next.issuerCertificate;
      }
      resolve(chain);
      socket.destroy();
    });
  });
}
