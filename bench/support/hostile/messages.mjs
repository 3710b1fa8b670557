/** Mutated, reordered and repeated calls of the Federation service. */
import { encodeUpdateManifest } from '@graft/protos/message-codec.adapter';
import { federationService, enrolmentService } from '@graft/protos/service-definitions.adapter';

import { greeting } from './identity.mjs';
import { mutate } from './random.mjs';
import { frame, openSession, rawCall } from './session.mjs';

const hash = 'ab'.repeat(32);

/** A request of every call, right in form. */
function requests(agent) {
  const plan = agent.plans.at(-1) ?? { taskId: 't', runId: 'r', round: 1 };
  const { taskId, runId, round } = plan;
  const ofRound = { instructionId: 'i', runId, round };
  const manifest = encodeUpdateManifest({
    taskId,
    runId,
    round,
    agentId: agent.agentId,
    baseHash: hash,
    layoutHash: hash,
    exampleCount: 1,
    ciphertext: { hash, sizeBytes: 100 },
    boxedKey: Buffer.alloc(48),
    boxedKeyNonce: Buffer.alloc(24),
    ephemeralKey: Buffer.alloc(32),
    parameterCount: 10,
    sessionNonce: Buffer.alloc(16),
  });
  return {
    connect: greeting(),
    heartbeat: { runId, round, activity: 'training', progress: 0.5, loss: 1 },
    download: { hash: plan.base?.hash ?? hash, firstChunk: 0 },
    uploadState: { blob: { hash, sizeBytes: 100 } },
    reportUpdate: { manifest, signature: Buffer.alloc(64) },
    reportFailure: { ...ofRound, code: 'NO_DATA', message: 'none' },
    reportEvaluation: { ...ofRound, fp32: null, int8: null, klSum: 0 },
    reportInstalled: { instructionId: 'i', releaseId: 'r' },
  };
}

/** Some mutated messages to calls drawn by the seed, in an order that no agent would choose. */
export async function mutatedMessages({ agent }, random) {
  const { session, end } = openSession(agent);
  const seen = [];
  try {
    const honest = requests(agent);
    for (let call = 0; call < 12; call++) {
      const name = random.pick(Object.keys(honest).filter((key) => key !== 'connect'));
      const { path, requestSerialize } = federationService[name];
      const bytes = mutate(requestSerialize(honest[name]), random);
      seen.push(await rawCall(session, path, { body: frame(bytes), waitMs: 1500 }));
    }
  } finally {
    end();
  }
  return seen;
}

const lies = [
  (bytes) => frame(bytes, { length: 0xffffffff }),
  (bytes) => frame(bytes, { length: 0 }),
  (bytes) => frame(bytes, { length: bytes.length + 1 }),
  (bytes) => frame(bytes, { compressed: 1 }),
  (bytes) => frame(bytes, { compressed: 200 }),
  (bytes) => Buffer.concat(Array.from({ length: 50 }, () => frame(bytes))),
  () => Buffer.from([0, 0]),
  () => Buffer.alloc(0),
  () => Buffer.alloc(1 << 20, 0xff),
];

/** gRPC frames whose lengths and flags lie, and calls and headers that do not exist. */
export async function lyingFrames({ agent }, random) {
  const { session, end } = openSession(agent);
  try {
    const { path, requestSerialize } = federationService.heartbeat;
    const bytes = requestSerialize(requests(agent).heartbeat);
    const seen = [];
    for (const lie of lies) seen.push(await rawCall(session, path, { body: lie(bytes), waitMs: 1000 }));
    const headers = { 'grpc-timeout': random.pick(['0n', '-1S', '99999999H', 'x']), 'grpc-encoding': 'gzip' };
    seen.push(await rawCall(session, path, { body: frame(bytes), headers, waitMs: 1000 }));
    for (const strange of ['/', '/graft.v1.Federation/Nothing', enrolmentService.enrol.path, `/${'a'.repeat(9000)}`]) {
      seen.push(await rawCall(session, strange, { body: frame(bytes), waitMs: 1000 }));
    }
    return seen;
  } finally {
    end();
  }
}

/** Heartbeats and reports as fast as the connection takes them. */
export async function flood({ agent }, random) {
  const { session, end } = openSession(agent);
  try {
    const honest = requests(agent);
    const names = ['heartbeat', 'reportFailure', 'reportUpdate', 'reportInstalled', 'uploadState'];
    const name = random.pick(names);
    const { path, requestSerialize } = federationService[name];
    const body = frame(requestSerialize(honest[name]));
    const calls = Array.from({ length: 300 }, () => rawCall(session, path, { body, waitMs: 10_000 }));
    return await Promise.all(calls);
  } finally {
    end();
  }
}

/** A second Connect ends the first, again and again. */
export async function connectAgain({ agent }) {
  const { session, end } = openSession(agent);
  try {
    const { path, requestSerialize } = federationService.connect;
    const body = frame(requestSerialize(greeting()));
    return await Promise.all(Array.from({ length: 20 }, () => rawCall(session, path, { body, waitMs: 500 })));
  } finally {
    end();
  }
}
