/**
 * What the bytes of a round cost with nothing else: fp16 down to and fp32 up from every agent, a server and client processes on
 * loopback over node:http2; and a copy of the same bytes in memory. Sessions stand before the clock starts. Least of some rounds.
 */
import { join } from 'node:path';

import { createCa, createServerCertificate } from '@graft/protos/trust/authority.adapter';

import { startEngine } from './engine-process.mjs';
import { least } from './processes.mjs';

const program = join(import.meta.dirname, 'floor-engine.mjs');
const rounds = 3;

async function startSide(role, setting) {
  const side = await startEngine('node', [program, role], { first: setting });
  if (side === undefined) throw new Error(`the floor's ${role} did not start`);
  return side;
}

/** Least wall and CPU seconds of a round, all processes together. */
async function measureHttp2({ agents, parameters, certificate, sealed }) {
  const tls = certificate && { cert: certificate.certificatePem, key: certificate.privateKeyPem };
  const server = await startSide('server', { parameters, tls, sealed });
  const sides = [server];
  try {
    const url = `${certificate ? 'https' : 'http'}://127.0.0.1:${server.ready.port}`;
    const ca = certificate?.certificatePem;
    for (let i = 0; i < agents; i++) sides.push(await startSide('client', { parameters, ca, url, sealed }));
    const cpu = async () => {
      const each = await Promise.all(sides.map((side) => side.ask({ do: 'cpu' })));
      return each.reduce((sum, { seconds }) => sum + seconds, 0);
    };
    const [wall, spent] = [[], []];
    for (let round = 0; round < rounds; round++) {
      const [cpuBefore, begin] = [await cpu(), performance.now()];
      await server.ask({ do: 'beginRound' });
      await Promise.all(sides.slice(1).map((client) => client.ask({ do: 'round' })));
      wall.push((performance.now() - begin) / 1000);
      spent.push((await cpu()) - cpuBefore);
    }
    return { wallSeconds: least(wall), cpuSeconds: least(spent) };
  } finally {
    await Promise.all(sides.map((side) => side.end()));
  }
}

/** Seconds to copy the bytes of a round once, into memory that was touched before. */
function memcpySeconds({ agents, parameters }) {
  const from = Buffer.alloc(parameters * (2 + 4), 1);
  const to = Buffer.alloc(from.length, 2);
  const seconds = Array.from({ length: rounds }, () => {
    const begin = performance.now();
    for (let agent = 0; agent < agents; agent++) from.copy(to);
    return (performance.now() - begin) / 1000;
  });
  return least(seconds);
}

/**
 * `floor`: the transport alone, with TLS and plain, and the copy. `sealedFloor`: TLS, and what the law wants of any implementation:
 * updates sealed and opened by AES-256-GCM, SHA-256 of them on both sides, of the base once at the server and at every agent.
 */
export async function measureFloor({ agents, parameters }) {
  const authority = await createCa('floor', { atMs: Date.now() });
  const certificate = await createServerCertificate(authority, ['127.0.0.1'], { atMs: Date.now() });
  const secure = await measureHttp2({ agents, parameters, certificate, sealed: false });
  const plain = await measureHttp2({ agents, parameters, sealed: false });
  const sealed = await measureHttp2({ agents, parameters, certificate, sealed: true });
  return {
    floor: {
      http2TlsWallSeconds: secure.wallSeconds,
      http2TlsCpuSeconds: secure.cpuSeconds,
      http2WallSeconds: plain.wallSeconds,
      http2CpuSeconds: plain.cpuSeconds,
      memcpySeconds: memcpySeconds({ agents, parameters }),
    },
    sealedFloor: sealed,
  };
}
