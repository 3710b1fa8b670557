/** What a site makes when it enrols: its TLS key, which stays there, and the request for a certificate (PKCS#10). */
import { createKeyPair, keyAlgorithm, privateKeyPem, x509 } from './x509.adapter.js';

export interface CertificateRequest {
  readonly csrDer: Uint8Array;
  /** PKCS#8; to be kept at the site with mode 0600. */
  readonly privateKeyPem: string;
}

/** A new key and its CSR. The subject is empty of meaning: the coordinator chooses the certificate's name. */
export async function createCsr(): Promise<CertificateRequest> {
  const keys = await createKeyPair();
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: ['graft agent'] }],
    keys,
    signingAlgorithm: keyAlgorithm,
  });
  return { csrDer: new Uint8Array(request.rawData), privateKeyPem: await privateKeyPem(keys.privateKey) };
}
