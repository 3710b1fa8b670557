/** Garbage on the enrolment port and on the admin API. */
import { enrolmentService } from '@graft/protos/service-definitions.adapter';

import { greeting } from './identity.mjs';
import { mutate } from './random.mjs';
import { frame, openSession, rawCall } from './session.mjs';

/** Requests to enrol: tokens that were never given, and mutated bytes. */
export async function garbageEnrolment({ agent }, random) {
  const { session, end } = openSession({ ca: agent.ca, address: agent.enrolAddress });
  try {
    const { path, requestSerialize } = enrolmentService.enrol;
    const seen = [];
    for (let attempt = 0; attempt < 10; attempt++) {
      const bytes = requestSerialize({
        ...greeting(),
        token: random.bytes(16).toString('base64url'),
        csr: random.bytes(random.below(3000)),
        signingKey: random.bytes(32),
        agreementKey: random.bytes(32),
        proof: random.bytes(64),
      });
      const body = frame(random.below(2) === 0 ? bytes : mutate(bytes, random));
      seen.push(await rawCall(session, path, { body, waitMs: 2000 }));
    }
    return seen;
  } finally {
    end();
  }
}

const deep = (depth) => `${'['.repeat(depth)}${']'.repeat(depth)}`;

const bodies = (random) => [
  '{',
  '{"name":',
  deep(50_000),
  `{"name":${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}}`,
  JSON.stringify({ name: 'x'.repeat(900_000) }),
  `[${'0,'.repeat(300_000)}0]`,
  '{"__proto__":{"admin":true},"name":"x","constructor":{"prototype":{}}}',
  JSON.stringify({ name: '\u0000', rounds: 1e308, parameters: -1, kind: 'probe', cohort: { min: NaN } }),
  random.bytes(2000),
  Buffer.alloc(12 << 20, 0x20),
];

const paths = ['/tasks', '/runs', '/enrolment-tokens', '/runs/%00', '/agents/..%2f..%2fetc', '/models', '/blobs'];

/** Bad bodies and bad tokens; the right key too, as a client with a fault would have it. */
export async function garbageApi({ apiUrl, key }, random) {
  const seen = [];
  for (let request = 0; request < 6; request++) {
    const bearer = random.pick([key, '', 'x'.repeat(7000), random.bytes(20).toString('hex'), `${key}x`]);
    const headers = { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' };
    const method = random.pick(['POST', 'PUT', 'PATCH']);
    const init = { method, headers, body: random.pick(bodies(random)), signal: AbortSignal.timeout(5000) };
    const answer = await fetch(`${apiUrl}/api/v1${random.pick(paths)}`, init).catch((error) => error);
    if (answer instanceof Error) seen.push('cut');
    else {
      await answer.arrayBuffer().catch(() => undefined);
      seen.push(`http ${answer.status}`);
    }
  }
  return seen;
}
