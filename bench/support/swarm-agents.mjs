/**
 * Many agents in one process: each enrolled with keys of its own, each on a connection of its own over mutual TLS.
 * What they do for a plan is what a site's agent does: fetch the base, verify it, seal, upload, report.
 * A few of them work at a time, so that memory does not grow with their number.
 */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import { chunkCount, chunkRange } from '@graft/protos/chunks';
import { enrolmentClient, federationClient } from '@graft/protos/clients.adapter';
import { agreementKeyFromSeed, signingKeyFromSeed } from '@graft/protos/identity/keys';
import { randomSeed } from '@graft/protos/identity/random.adapter';
import { signEnrolment } from '@graft/protos/identity/signatures';
import { signUpdate } from '@graft/protos/identity/signatures.adapter';
import { encodeUpdateManifest } from '@graft/protos/message-codec.adapter';
import { createSealer, plaintextChunks } from '@graft/protos/sealed/seal.adapter';
import { createCsr } from '@graft/protos/trust/csr.adapter';
import { fetchCaByFingerprint } from '@graft/protos/trust/fingerprint.adapter';
import { credentials } from '@grpc/grpc-js';

const greeting = { minProtocol: 1, maxProtocol: 1, agentVersion: 'swarm' };

/** Runs `work` for every item, `limit` at a time. */
export async function eachOf(items, limit, work) {
  const queue = items.entries();
  const lane = async () => {
    for (const [index, item] of queue) await work(item, index);
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane));
}

/** Lets `limit` callers in at a time, in the order in which they came. */
export function turnstile(limit) {
  const waiting = [];
  let inside = 0;
  return async (work) => {
    if (inside >= limit) await new Promise((enter) => waiting.push(enter));
    else inside += 1;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) inside -= 1;
      else next();
    }
  };
}

/** A new agent's identity, made here and known to the coordinator. `door` is where it enrols. */
async function enrol(invite, ca, door) {
  const { csrDer: csr, privateKeyPem } = await createCsr();
  const signing = signingKeyFromSeed(randomSeed());
  const agreementKey = agreementKeyFromSeed(randomSeed()).publicKey;
  const { token } = invite;
  const client = enrolmentClient(door, credentials.createSsl(Buffer.from(ca)), {
    // A connection for each: one shared by all would be one site with a thousand attempts.
    'grpc.use_local_subchannel_pool': 1,
  });
  try {
    const proof = signEnrolment(signing, { token, csr, agreementKey });
    const request = { ...greeting, token, csr, signingKey: signing.publicKey, agreementKey, proof };
    const answer = await client.enrol({ ...request, clockMs: Date.now() });
    const certificate = Buffer.from(answer.certificate);
    const { agentId, identityKey, federationAddress } = answer;
    const trust = credentials.createSsl(Buffer.from(ca), Buffer.from(privateKeyPem), certificate);
    return { agentId, identityKey, signing, client: federationClient(federationAddress, trust) };
  } finally {
    client.close();
  }
}

/** The base of a plan, as its hash says. Its bytes are dropped: a probe adds to whatever the base is. */
async function fetchBase(client, { hash }) {
  const digest = createHash('sha256');
  for await (const { data } of client.download({ hash, firstChunk: 0 })) digest.update(data);
  if (digest.digest('hex') !== hash) throw new Error(`the base is not the blob ${hash}`);
}

/** Seals a delta that holds `value` everywhere. */
function seal({ agentId, identityKey, signing }, plan, { parameters, value }) {
  const { taskId, runId, round, layoutHash, roundKey, roundKeySignature } = plan;
  const plaintext = new Uint8Array(new Float32Array(parameters).fill(value).buffer);
  const context = { taskId, runId, round, agentId, baseHash: plan.base?.hash ?? '', layoutHash };
  const keys = { roundKey, roundKeySignature, identityKey };
  const sealer = createSealer({ context, plaintextBytes: plaintext.byteLength, ...keys });
  const ciphertext = Buffer.concat([...plaintextChunks(plaintext)].map((chunk) => sealer.seal(chunk)));
  const manifest = encodeUpdateManifest({
    ...context,
    exampleCount: 1,
    parameterCount: parameters,
    ...sealer.finish(),
  });
  const blob = { hash: createHash('sha256').update(ciphertext).digest('hex'), sizeBytes: ciphertext.byteLength };
  return { ciphertext, blob, manifest, signature: signUpdate(signing, manifest) };
}

async function upload(client, { ciphertext, blob }) {
  const { nextChunk, complete } = await client.uploadState({ blob });
  if (complete) return;
  const { chunks, receipt } = client.upload({ blob, firstChunk: nextChunk });
  for (let index = nextChunk; index < chunkCount(blob.sizeBytes); index++) {
    const { start, length } = chunkRange(blob.sizeBytes, index);
    chunks.write({ data: ciphertext.subarray(start, start + length) });
  }
  chunks.end();
  await receipt;
}

/** Codes of a call that may be made again: UNAVAILABLE, DEADLINE_EXCEEDED, ABORTED. */
const comesAgain = new Set([14, 4, 10]);

async function patiently(call) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      if (!comesAgain.has(error.code) || attempt === 10) throw error;
      await sleep(100 * attempt);
    }
  }
}

/**
 * Enrols and connects `count` agents.
 * @param options.valueOf what agent number i adds to every parameter
 * @param options.onAnswer called with {agentId, index, round, verdict, fetchMs, sealMs, uploadMs, reportMs}
 * @param options.onTrouble called with an error that no answer of the protocol explains
 */
export async function openSwarm(federation, options) {
  const { count, parameters, valueOf, atWork, onAnswer, onTrouble, door } = options;
  const invites = [];
  await eachOf(Array.from({ length: count }), 8, async (_, index) => {
    invites[index] = await federation.call('POST', '/enrolment-tokens', {
      name: `site-${index}`,
      expiresInMs: 3_600_000,
    });
  });
  const [host = '', port] = invites[0].server.split(':');
  const ca = await fetchCaByFingerprint(host, Number(port), invites[0].fingerprint);
  const agents = [];
  await eachOf(invites, 8, async (invite, index) => {
    agents[index] = await enrol(invite, ca, door);
  });
  const enter = turnstile(atWork);
  const state = { closing: false };

  const answer = async (agent, index, plan) => {
    const started = performance.now();
    const { client } = agent;
    await patiently(() => fetchBase(client, plan.base));
    const fetched = performance.now();
    const sealed = seal(agent, plan, { parameters, value: valueOf(index) });
    const ready = performance.now();
    await patiently(() => upload(client, sealed));
    const sent = performance.now();
    const verdict = await patiently(() => client.reportUpdate(sealed));
    const { agentId } = agent;
    const times = { fetchMs: fetched - started, sealMs: ready - fetched, uploadMs: sent - ready };
    onAnswer({ agentId, index, round: plan.round, verdict, ...times, reportMs: performance.now() - sent });
  };

  const follow = async (agent, index) => {
    const begun = new Set();
    while (!state.closing) {
      const stream = agent.client.connect({ ...greeting, clockMs: Date.now() });
      agent.stream = stream;
      try {
        for await (const { id, kind, train } of stream) {
          if (kind === 'welcome') agent.welcomed();
          if (kind !== 'train' || begun.has(id)) continue;
          begun.add(id);
          enter(() => answer(agent, index, train)).catch((error) => state.closing || onTrouble(error));
        }
      } catch (error) {
        if (state.closing) return;
        if (!comesAgain.has(error.code)) onTrouble(error);
      }
      if (!state.closing) await sleep(200);
    }
  };

  await eachOf(agents, 16, async (agent, index) => {
    const welcome = new Promise((done) => (agent.welcomed = done));
    void follow(agent, index);
    await welcome;
  });
  return {
    agentIds: agents.map(({ agentId }) => agentId),
    close: () => {
      state.closing = true;
      for (const { stream, client } of agents) {
        stream.cancel();
        client.close();
      }
    },
  };
}
