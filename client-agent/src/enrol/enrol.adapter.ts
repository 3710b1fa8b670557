/**
 * Joining a federation: the keys are made here, the coordinator's CA is taken by its fingerprint, and a one-time token
 * buys a certificate. Nothing is written before the coordinator has answered and its answer has been checked.
 */
import { createPublicKey, X509Certificate, createPrivateKey } from 'node:crypto';
import { rm } from 'node:fs/promises';

import { GraftError } from '@graft/core/error';
import { enrolmentClient } from '@graft/protos/clients.adapter';
import { agreementKeyFromSeed, keyBytes, signingKeyFromSeed } from '@graft/protos/identity/keys';
import { randomSeed } from '@graft/protos/identity/random.adapter';
import { signEnrolment } from '@graft/protos/identity/signatures';
import type { EnrolResponse } from '@graft/protos/messages';
import { createCsr } from '@graft/protos/trust/csr.adapter';
import { fetchCaByFingerprint } from '@graft/protos/trust/fingerprint.adapter';
import { protocolRange } from '@graft/protos/version';
import { credentials } from '@grpc/grpc-js';
import { stringify } from 'yaml';

import { agentConfigSchema, type AgentConfig } from '../config/agent-config.js';
import { agentPaths } from '../config/agent-paths.js';
import { writeFileAtomically } from '../config/files.adapter.js';
import { openSentLog } from '../daemon/sent-log.adapter.js';
import { agentVersion } from '../version.js';
import type { DataChoice } from './data-path.adapter.js';
import { enrolmentError, parseAddress } from './enrolment-answers.js';

export interface EnrolOptions {
  readonly directory: string;
  /** host:port of the enrolment service. */
  readonly server: string;
  readonly token: string;
  /** 'sha256:' and 64 hexadecimal digits. */
  readonly fingerprint: string;
  readonly data: DataChoice;
  readonly timeoutMs: number;
  readonly onProgress: (line: string) => void;
}

/**
 * @throws CA_MISMATCH, TOKEN_INVALID, CLOCK_SKEW, PROTOCOL_VERSION, UNAVAILABLE, TIMED_OUT, INVALID_REQUEST
 */
export async function enrol(options: EnrolOptions): Promise<AgentConfig> {
  const { directory, server, token, fingerprint, onProgress } = options;
  const { host, port } = parseAddress(server);
  onProgress(`asking ${server} for its certificate authority`);
  const ca = await fetchCaByFingerprint(host, port, fingerprint);
  onProgress('making the keys of this site');
  const { csrDer, privateKeyPem } = await createCsr();
  const signingSeed = randomSeed();
  const agreementSeed = randomSeed();
  const signing = signingKeyFromSeed(signingSeed);
  const agreementKey = agreementKeyFromSeed(agreementSeed).publicKey;
  onProgress('asking for a certificate');
  const response = await ask(options, ca, {
    minProtocol: protocolRange.min,
    maxProtocol: protocolRange.max,
    agentVersion,
    token,
    csr: csrDer,
    signingKey: signing.publicKey,
    agreementKey,
    proof: signEnrolment(signing, { token, csr: csrDer, agreementKey }),
    clockMs: Date.now(),
  });
  const config = checkAnswer(response, { options, ca, privateKeyPem });
  const paths = agentPaths(directory);
  await rm(paths.config, { force: true });
  await writeFileAtomically(paths.keys.tls, privateKeyPem, 0o600);
  await writeFileAtomically(paths.keys.signing, toBase64(signingSeed), 0o600);
  await writeFileAtomically(paths.keys.agreement, toBase64(agreementSeed), 0o600);
  await writeFileAtomically(paths.certificates.agent, response.certificate);
  await writeFileAtomically(paths.certificates.ca, ca);
  if (options.data.write !== undefined) await writeFileAtomically(`${directory}/data.yaml`, options.data.write);
  // Written last: where it lies, the agent is enrolled.
  await writeFileAtomically(paths.config, stringify(config));
  return config;
}

async function ask(
  { directory, server, timeoutMs }: EnrolOptions,
  ca: string,
  request: Parameters<ReturnType<typeof enrolmentClient>['enrol']>[0],
): Promise<EnrolResponse> {
  const client = enrolmentClient(server, credentials.createSsl(Buffer.from(ca)));
  const note = 'public keys, certificate request, token, version, clock';
  const bytes = request.csr.length + request.proof.length + 2 * keyBytes + request.token.length;
  try {
    await openSentLog(agentPaths(directory).sentLog).append({ what: 'enrolment', to: server, bytes, note });
    return await client.enrol(request, { deadline: Date.now() + timeoutMs });
  } catch (error) {
    throw enrolmentError(error, server);
  } finally {
    client.close();
  }
}

interface Expected {
  readonly options: EnrolOptions;
  readonly ca: string;
  readonly privateKeyPem: string;
}

/** What the coordinator answered, as agent.yaml. Throws INVALID_REQUEST where the certificate is not for our key or not by this CA. */
function checkAnswer(response: EnrolResponse, { options, ca, privateKeyPem }: Expected): AgentConfig {
  const certificate = new X509Certificate(Buffer.from(response.certificate));
  const own = createPublicKey(createPrivateKey(privateKeyPem)).export({ type: 'spki', format: 'der' });
  if (!certificate.publicKey.export({ type: 'spki', format: 'der' }).equals(own)) {
    throw new GraftError('INVALID_REQUEST', 'the certificate that came back is not for the key that was sent');
  }
  if (!certificate.verify(new X509Certificate(ca).publicKey)) {
    throw new GraftError('CA_MISMATCH', 'the certificate that came back is not signed by the CA of the fingerprint');
  }
  const parsed = agentConfigSchema.safeParse({
    agentId: response.agentId,
    agentName: response.agentName,
    server: options.server,
    federation: response.federationAddress,
    fingerprint: options.fingerprint.toLowerCase(),
    identityKey: toBase64(response.identityKey),
    data: options.data.data,
  });
  if (!parsed.success || response.identityKey.length !== keyBytes) {
    throw new GraftError('INVALID_REQUEST', `the answer of ${options.server} is not complete`, { cause: parsed.error });
  }
  return parsed.data;
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
