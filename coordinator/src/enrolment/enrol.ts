/** How a site becomes an agent: everything is checked before its token is used up. Pure but for its ports. */
import { GraftError } from '@graft/core/error';
import type { EnrolRequest, EnrolResponse } from '@graft/protos/messages';
import { keyBytes } from '@graft/protos/identity/keys';
import { verifyEnrolment } from '@graft/protos/identity/signatures';

import { agreeOnProtocol, checkClocks } from '../federation/admission.js';
import type { Log } from '../server/log.js';
import type { RateLimit } from './rate-limit.js';

export interface NewAgent {
  readonly id: string;
  readonly signingKey: Uint8Array;
  readonly agreementKey: Uint8Array;
  readonly certificate: string;
  readonly version: string;
  readonly atMs: number;
}

export interface EnrolPorts {
  readonly rateLimit: RateLimit;
  readonly newId: () => string;
  /** Throws TOKEN_INVALID where the token is unknown, used, revoked or expired; uses nothing up. */
  checkToken(token: string, atMs: number): Promise<void>;
  /** Uses the token up and stores the agent, both or neither; answers the name of the site. Throws TOKEN_INVALID. */
  redeem(token: string, agent: NewAgent): Promise<string>;
  /** PEM chain for the CSR, authority last. Throws INVALID_REQUEST. */
  sign(csr: Uint8Array, agentId: string, atMs: number): Promise<string>;
  readonly caCertificate: string;
  readonly identityKey: Uint8Array;
  readonly federationAddress: () => string;
  readonly log: Log;
}

/** Longest token that is looked at; ours have under 50 characters. */
const tokenCharacters = 200;

/**
 * Attempts that fail are limited by the address that they come from, those that succeed are not: many sites may sit behind
 * one address. Throws what is wrong with the request, RATE_LIMITED after too much of it.
 */
export async function enrol(
  ports: EnrolPorts,
  request: EnrolRequest,
  from: { readonly address: string; readonly atMs: number },
): Promise<EnrolResponse> {
  try {
    return await admit(ports, request, from);
  } catch (error) {
    ports.rateLimit.take(from.address, from.atMs);
    throw error;
  }
}

async function admit(
  ports: EnrolPorts,
  request: EnrolRequest,
  { address, atMs }: { readonly address: string; readonly atMs: number },
): Promise<EnrolResponse> {
  const protocol = agreeOnProtocol({ min: request.minProtocol, max: request.maxProtocol });
  checkClocks(atMs, request.clockMs);
  const { token, signingKey, agreementKey, csr } = request;
  if (token.length > tokenCharacters)
    throw new GraftError('TOKEN_INVALID', `a token of ${token.length} characters is not one of ours`);
  // First of all what costs work: a guess costs one look into the store, beside the handshake that brought it.
  await ports.checkToken(token, atMs);
  if (signingKey.byteLength !== keyBytes || agreementKey.byteLength !== keyBytes) {
    throw new GraftError(
      'INVALID_REQUEST',
      `keys of ${signingKey.byteLength} and ${agreementKey.byteLength} bytes, both must have ${keyBytes}`,
    );
  }
  if (!verifyEnrolment(signingKey, { token, csr, agreementKey }, request.proof)) {
    throw new GraftError(
      'INVALID_REQUEST',
      'the proof is not a signature of token, CSR and agreement key by the signing key',
    );
  }
  const id = ports.newId();
  const certificate = await ports.sign(csr, id, atMs);
  const version = request.agentVersion.slice(0, 64);
  const name = await ports.redeem(token, { id, signingKey, agreementKey, certificate, version, atMs });
  ports.log.info({ agentId: id, name, address }, 'agent enrolled');
  const encode = (pem: string): Uint8Array => new TextEncoder().encode(pem);
  return {
    agentId: id,
    agentName: name,
    certificate: encode(certificate),
    caCertificate: encode(ports.caCertificate),
    identityKey: ports.identityKey,
    federationAddress: ports.federationAddress(),
    protocol,
  };
}
