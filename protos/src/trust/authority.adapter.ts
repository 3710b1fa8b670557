/**
 * The coordinator's certificate authority (X.509, RFC 5280). It signs the coordinator's server certificate and, from
 * their CSRs, the agents' client certificates. An agent's private key is made at the site and never comes here.
 */
import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import { isIP } from 'node:net';
import { createKeyPair, importPrivateKey, keyAlgorithm, privateKeyPem, x509 } from './x509.adapter.js';

const dayMs = 86_400_000;

/** Certificates begin before they are made, for the clocks that run behind. */
const backdateMs = limits.clockSkewMs;

/** A PKCS#10 request of one P-256 key has some 250 bytes. */
const maxCsrBytes = 8 << 10;

/** Every site pins the authority's certificate, so it outlives what it signs. */
const authorityDays = 20 * 365;

export const serverDays = 397;
export const agentDays = 365;

/** A certificate and its key, PEM; for the coordinator's disk. */
export interface CertifiedKey {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

export interface Validity {
  /** Now, on the coordinator's clock. */
  readonly atMs: number;
  readonly days?: number;
}

/** A new authority of this name, self-signed. */
export async function createCa(name: string, { atMs, days = authorityDays }: Validity): Promise<CertifiedKey> {
  const keys = await createKeyPair();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [name] }],
    keys,
    signingAlgorithm: keyAlgorithm,
    ...dates(atMs, days),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificatePem: pem(certificate), privateKeyPem: await privateKeyPem(keys.privateKey) };
}

/**
 * A server certificate for these host names and IP addresses. Its PEM is the chain, authority last: a site that enrols
 * finds the authority there and compares its fingerprint.
 */
export async function createServerCertificate(
  ca: CertifiedKey,
  hosts: readonly string[],
  { atMs, days = serverDays }: Validity,
): Promise<CertifiedKey> {
  const keys = await createKeyPair();
  const names = hosts.map((host) => ({ type: isIP(host) === 0 ? ('dns' as const) : ('ip' as const), value: host }));
  const certificate = await issue(ca, {
    commonName: 'graft coordinator',
    publicKey: keys.publicKey,
    usage: x509.ExtendedKeyUsage.serverAuth,
    validity: { atMs, days },
    extensions: [new x509.SubjectAlternativeNameExtension(names)],
  });
  return { certificatePem: certificate + ca.certificatePem, privateKeyPem: await privateKeyPem(keys.privateKey) };
}

/**
 * A client certificate for the key in a site's CSR, its name the agent's id; the CSR's own subject is ignored.
 * Throws INVALID_REQUEST where the CSR is malformed, not signed by its own key, or of another kind of key.
 * @returns PEM, the chain with the authority last
 */
export async function signAgentCertificate(
  ca: CertifiedKey,
  csrDer: Uint8Array,
  { agentId, atMs, days = agentDays }: Validity & { readonly agentId: string },
): Promise<string> {
  const csr = await readCsr(csrDer);
  const certificate = await issue(ca, {
    commonName: agentId,
    publicKey: csr.publicKey,
    usage: x509.ExtendedKeyUsage.clientAuth,
    validity: { atMs, days },
    extensions: [],
  });
  return certificate + ca.certificatePem;
}

async function readCsr(der: Uint8Array): Promise<x509.Pkcs10CertificateRequest> {
  if (der.byteLength > maxCsrBytes) {
    throw new GraftError('INVALID_REQUEST', `the CSR has ${der.byteLength} bytes, the limit is ${maxCsrBytes}`);
  }
  try {
    const csr = new x509.Pkcs10CertificateRequest(Uint8Array.from(der));
    const { name, namedCurve } = csr.publicKey.algorithm as { name: string; namedCurve?: string };
    if (name !== keyAlgorithm.name || namedCurve !== keyAlgorithm.namedCurve) {
      throw new GraftError('INVALID_REQUEST', `the CSR has a key of ${name} ${namedCurve ?? ''}, not ECDSA P-256`);
    }
    if (await csr.verify()) return csr;
  } catch (cause) {
    if (cause instanceof GraftError) throw cause;
    throw new GraftError('INVALID_REQUEST', `${der.byteLength} bytes are not a certificate request`, { cause });
  }
  throw new GraftError('INVALID_REQUEST', 'the CSR is not signed by the key that it holds');
}

interface Issue {
  readonly commonName: string;
  readonly publicKey: x509.PublicKeyType;
  readonly usage: string;
  readonly validity: Required<Validity>;
  readonly extensions: readonly x509.Extension[];
}

async function issue(ca: CertifiedKey, { commonName, publicKey, usage, validity, extensions }: Issue): Promise<string> {
  const authority = new x509.X509Certificate(ca.certificatePem);
  const certificate = await x509.X509CertificateGenerator.create({
    subject: [{ CN: [commonName] }],
    issuer: authority.subjectName,
    publicKey,
    signingKey: await importPrivateKey(ca.privateKeyPem),
    signingAlgorithm: keyAlgorithm,
    ...dates(validity.atMs, validity.days),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([usage]),
      await x509.AuthorityKeyIdentifierExtension.create(authority.publicKey),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      ...extensions,
    ],
  });
  return pem(certificate);
}

function dates(atMs: number, days: number): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(atMs - backdateMs), notAfter: new Date(atMs + days * dayMs) };
}

function pem(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem')}\n`;
}
