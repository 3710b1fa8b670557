/** An enrolled agent whose keys the attack holds. */
import { setTimeout as sleep } from 'node:timers/promises';

import { agreementKeyFromSeed, signingKeyFromSeed } from '@graft/protos/identity/keys';
import { enrolmentClient, federationClient } from '@graft/protos/clients.adapter';
import { randomSeed } from '@graft/protos/identity/random.adapter';
import { signEnrolment } from '@graft/protos/identity/signatures';
import { createCsr } from '@graft/protos/trust/csr.adapter';
import { fetchCaByFingerprint } from '@graft/protos/trust/fingerprint.adapter';
import { credentials } from '@grpc/grpc-js';

export const greeting = () => ({ minProtocol: 1, maxProtocol: 1, agentVersion: 'hostile', clockMs: Date.now() });

/** What an error of a call says, in one word. */
export const refusalOf = (error) => String(error.metadata?.get?.('graft-code')[0] ?? `status ${error.code}`);

/** Enrols as any agent does. */
export async function enrolHostile(federation, name) {
  const { token, server, fingerprint } = await federation.call('POST', '/enrolment-tokens', {
    name,
    expiresInMs: 3_600_000,
  });
  const [host = '', port] = server.split(':');
  const ca = await fetchCaByFingerprint(host, Number(port), fingerprint);
  const { csrDer: csr, privateKeyPem: privateKey } = await createCsr();
  const signing = signingKeyFromSeed(randomSeed());
  const agreementKey = agreementKeyFromSeed(randomSeed()).publicKey;
  const proof = signEnrolment(signing, { token, csr, agreementKey });
  const door = enrolmentClient(server, credentials.createSsl(Buffer.from(ca)));
  try {
    const request = { ...greeting(), token, csr, signingKey: signing.publicKey, agreementKey, proof };
    const answer = await door.enrol(request);
    const certificate = Buffer.from(answer.certificate).toString();
    const { agentId, identityKey, federationAddress: address } = answer;
    return { agentId, identityKey, signing, ca, privateKey, certificate, address, enrolAddress: server };
  } finally {
    door.close();
  }
}

/** Keeps the instruction stream open and the newest plans of each run in `plans`, the newest last. */
export function connectHostile(identity) {
  const { ca, privateKey, certificate, address } = identity;
  const [trusted, key, chain] = [ca, privateKey, certificate].map((pem) => Buffer.from(pem));
  const client = federationClient(address, credentials.createSsl(trusted, key, chain));
  const agent = { ...identity, client, plans: [], waiting: [], closing: false, stream: undefined };
  const follow = () => {
    if (agent.closing) return;
    agent.stream = client.connect(greeting());
    agent.stream.on('data', ({ kind, train }) => {
      if (kind !== 'train') return;
      agent.plans.push(train);
      if (agent.plans.length > 20) agent.plans.shift();
      for (const go of agent.waiting.splice(0)) go();
    });
    agent.stream.on('error', () => setTimeout(follow, 500).unref());
  };
  follow();
  /** The plan of a round that begins now, or the last one where none does within two seconds. */
  agent.freshPlan = async () => {
    await Promise.race([new Promise((go) => agent.waiting.push(go)), sleep(2000)]);
    return agent.plans.at(-1);
  };
  agent.close = () => {
    agent.closing = true;
    agent.stream.cancel();
    client.close();
  };
  return agent;
}
