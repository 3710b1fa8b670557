/** Updates that lie: not finite, huge, of other rounds and agents, of other sizes. */
import { createHash } from 'node:crypto';

import { chunkCount, chunkRange } from '@graft/protos/chunks';
import { signUpdate } from '@graft/protos/identity/signatures.adapter';
import { decodeUpdateManifest, encodeUpdateManifest } from '@graft/protos/message-codec.adapter';
import { createSealer, plaintextChunks } from '@graft/protos/sealed/seal.adapter';

import { refusalOf } from './identity.mjs';

const waitMs = 10_000;
const within = () => ({ deadline: Date.now() + waitMs });

function seal({ agentId, identityKey, signing }, plan, { delta, manifest: change = {} }) {
  const { taskId, runId, round, layoutHash, roundKey, roundKeySignature } = plan;
  const plaintext = new Uint8Array(delta.buffer);
  const context = { taskId, runId, round, agentId, baseHash: plan.base?.hash ?? '', layoutHash };
  const keys = { roundKey, roundKeySignature, identityKey };
  const sealer = createSealer({ context, plaintextBytes: plaintext.byteLength, ...keys });
  const ciphertext = Buffer.concat([...plaintextChunks(plaintext)].map((chunk) => sealer.seal(chunk)));
  const blob = { hash: createHash('sha256').update(ciphertext).digest('hex'), sizeBytes: ciphertext.byteLength };
  const truth = { ...context, exampleCount: 1, parameterCount: delta.length, ...sealer.finish(), ciphertext: blob };
  const manifest = encodeUpdateManifest({ ...truth, ...change });
  return { manifest, signature: signUpdate(signing, manifest), ciphertext, blob };
}

async function upload(client, { ciphertext, blob }) {
  const { nextChunk, complete } = await client.uploadState({ blob }, within());
  if (complete) return;
  const { chunks, receipt } = client.upload({ blob, firstChunk: nextChunk }, within());
  chunks.on('error', () => undefined);
  for (let index = nextChunk; index < chunkCount(blob.sizeBytes); index++) {
    const { start, length } = chunkRange(blob.sizeBytes, index);
    chunks.write({ data: ciphertext.subarray(start, start + length) });
  }
  chunks.end();
  await receipt;
}

const verdictOf = ({ accepted, reason }) => (accepted ? 'accepted' : reason);

async function send(agent, sealed) {
  try {
    await upload(agent.client, sealed);
  } catch (error) {
    return `upload ${refusalOf(error)}`;
  }
  return report(agent, sealed);
}

async function report({ client }, { manifest, signature }) {
  try {
    return verdictOf(await client.reportUpdate({ manifest, signature }, within()));
  } catch (error) {
    return refusalOf(error);
  }
}

const deltas = {
  notFinite: (value, random) => (
    value.fill(random.pick([NaN, Infinity, -Infinity]), random.below(value.length)),
    value
  ),
  huge: (value, random) => value.fill(random.pick([1, 1e10, 3e38])),
  longer: (value) => new Float32Array(value.length + 1),
  shorter: (value) => new Float32Array(Math.max(1, value.length - 1)),
};

/** A delta that no average survives, in an envelope and under a manifest that are right. */
export async function poisonedUpdate({ agent, parameters, add }, random) {
  const plan = await agent.freshPlan();
  if (plan === undefined) return ['no plan'];
  const delta = random.pick(Object.values(deltas))(new Float32Array(parameters).fill(add), random);
  return [await send(agent, seal(agent, plan, { delta }))];
}

/** Signed manifests of which one field lies. */
export async function lyingManifest({ agent, parameters, add }, random) {
  const plan = await agent.freshPlan();
  if (plan === undefined) return ['no plan'];
  const manifest = random.pick([
    { exampleCount: 1e9 },
    { exampleCount: 0 },
    { parameterCount: 2 ** 40 },
    { round: plan.round + 7 },
    { runId: 'no-such-run' },
    { taskId: '' },
    { agentId: 'somebody-else' },
    { baseHash: 'f'.repeat(64) },
    { layoutHash: 'f'.repeat(64) },
    { ciphertext: { hash: 'f'.repeat(64), sizeBytes: 2 ** 52 } },
    { ciphertext: { hash: '../../admin.key', sizeBytes: 1 } },
    { sessionNonce: new Uint8Array(0) },
    { boxedKey: new Uint8Array(47) },
    { ephemeralKey: new Uint8Array(32) },
    { training: { loss: NaN, initialLoss: -Infinity, steps: 1, epochs: 1, trainMs: 1, featureMs: 1 } },
  ]);
  return [await send(agent, seal(agent, plan, { delta: new Float32Array(parameters).fill(add), manifest }))];
}

/** An envelope of another round or of another agent, under a manifest of this one, signed again. */
export async function splicedManifest({ agent, others, parameters }, random) {
  const plan = await agent.freshPlan();
  const older = random.pick(agent.plans);
  if (plan === undefined) return ['no plan'];
  const from = random.pick([agent, ...others]);
  const sealed = seal(from, older, { delta: new Float32Array(parameters).fill(0.5) });
  const spliced = decodeUpdateManifest(sealed.manifest);
  const { round, runId } = plan;
  const names = { agentId: agent.agentId, round, runId, baseHash: plan.base?.hash ?? '' };
  // Where nothing else is strange, the size is: an envelope of this agent to this very round would be honest work.
  const isOwn = from === agent && older === plan;
  const manifest = encodeUpdateManifest({ ...spliced, ...names, ...(isOwn && { parameterCount: parameters + 1 }) });
  return [await send(agent, { ...sealed, manifest, signature: signUpdate(agent.signing, manifest) })];
}

/** A refused or late report again and again, and under the signature of another. */
export async function replayedReports({ agent, others, parameters }, random) {
  const fresh = await agent.freshPlan();
  const plan = random.below(2) === 0 ? fresh : random.pick(agent.plans);
  if (plan === undefined) return ['no plan'];
  const sealed = seal(agent, plan, { delta: new Float32Array(parameters).fill(NaN) });
  const seen = [await send(agent, sealed)];
  for (let again = 0; again < 5; again++) seen.push(await report(agent, sealed));
  const forged = { ...sealed, signature: signUpdate(random.pick(others).signing, sealed.manifest) };
  return [...seen, await report(agent, forged), await report(random.pick(others), sealed)];
}

/** Uploads that say one size and send another, in chunks that have not the length of their place. */
export async function lyingUpload({ agent }, random) {
  const hash = random.bytes(32).toString('hex');
  const sizeBytes = random.pick([0, 1, 2 ** 20, 2 ** 52, -1, 1_200_032]);
  const firstChunk = random.pick([0, 1, 2 ** 31, -1]);
  const { chunks, receipt } = agent.client.upload({ blob: { hash, sizeBytes }, firstChunk }, within());
  chunks.on('error', () => undefined);
  const lengths = [0, 1, 1 << 20, (1 << 20) + 1, 3 << 20, 5 << 20];
  for (let index = 0; index < 4; index++) chunks.write({ data: Buffer.alloc(random.pick(lengths), index) });
  chunks.end();
  return [await receipt.then(() => 'received', refusalOf)];
}
