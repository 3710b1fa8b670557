/** Connections that stop half-way, streams that are dropped or not read, and senders of one byte a second. */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { once } from 'node:events';

import { federationService } from '@graft/protos/service-definitions.adapter';

import { greeting } from './identity.mjs';
import { frame, openSession, openStream, openTls, rawCall } from './session.mjs';

const holdMs = 8000;

/** Holds sockets open and says whether the far side closed them. */
async function hold(sockets, ms = holdMs) {
  for (const socket of sockets) {
    socket.on('error', () => socket.destroy());
    socket.resume();
  }
  await sleep(ms);
  const seen = sockets.map(({ destroyed }) => (destroyed ? 'closed by the coordinator' : 'held'));
  for (const socket of sockets) socket.destroy();
  return seen;
}

const tcp = (address) => {
  const [host, port] = address.split(':');
  return connect(Number(port), host);
};

const doors = ({ agent, apiAddress }) => [agent.address, agent.enrolAddress, apiAddress];

/** TCP and no byte, or no TLS. */
export async function tcpWithoutTls(target, random) {
  const sockets = Array.from({ length: 20 }, () => tcp(random.pick(doors(target))));
  for (const socket of sockets) {
    socket.on('error', () => socket.destroy());
    if (random.below(2) === 0) socket.write(random.bytes(1 + random.below(2000)));
  }
  return hold(sockets);
}

/** TLS and then nothing, or noise where HTTP/2 should be. */
export async function tlsWithoutHttp2({ agent }, random) {
  const sockets = Array.from({ length: 10 }, () => openTls(agent));
  for (const socket of sockets) {
    socket.on('error', () => socket.destroy());
    if (random.below(2) === 0) socket.once('secureConnect', () => socket.write(random.bytes(500)));
  }
  return hold(sockets);
}

/** HTTP/2 and no call. */
export async function http2WithoutCall({ agent }) {
  const opened = Array.from({ length: 10 }, () => openSession(agent));
  await sleep(holdMs);
  const seen = opened.map(({ session }) => (session.destroyed ? 'closed by the coordinator' : 'held'));
  for (const { end } of opened) end();
  return seen;
}

/** A hundred streams of one connection, dropped as soon as they are open. */
export async function droppedStreams({ agent }, random) {
  const { session, end } = openSession(agent);
  try {
    const names = Object.keys(federationService);
    for (let index = 0; index < 100 && !session.destroyed; index++) {
      const { path } = federationService[random.pick(names.filter((name) => name !== 'connect'))];
      const stream = openStream(session, path);
      if (random.below(2) === 0) stream.write(frame(random.bytes(20)));
      stream.close(random.pick([0, 2, 8]));
    }
    await sleep(500);
    return [session.destroyed ? 'closed by the coordinator' : 'dropped'];
  } finally {
    end();
  }
}

/** Asks for the base many times over and does not read it. */
export async function streamsThatStopReading({ agent }) {
  const hash = agent.plans.at(-1)?.base?.hash;
  if (hash === undefined) return ['no plan'];
  const { session, end } = openSession(agent, { initialWindowSize: 1024 });
  try {
    const { path, requestSerialize } = federationService.download;
    for (let index = 0; index < 30 && !session.destroyed; index++) {
      const stream = openStream(session, path);
      stream.pause();
      stream.end(frame(requestSerialize({ hash, firstChunk: 0 })));
    }
    await sleep(holdMs);
    return [session.destroyed ? 'closed by the coordinator' : 'held'];
  } finally {
    end();
  }
}

/** One byte a second: of the request line, of HTTP/2, of a header block, of a message. */
export async function slowLoris({ agent, apiAddress }, random) {
  const api = tcp(apiAddress);
  const raw = openTls(agent);
  const { session, end } = openSession(agent);
  const hash = random.bytes(32).toString('hex');
  const headers = { 'graft-blob': hash, 'graft-size': '1200032', 'graft-first-chunk': '0' };
  const call = openStream(session, federationService.upload.path, headers);
  for (const socket of [api, raw]) socket.on('error', () => socket.destroy());
  const lines = Buffer.from('GET /api/v1/system HTTP/1.1\r\nhost: x\r\nx-slow: ');
  const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  const message = frame(Buffer.alloc(1 << 20));
  for (let second = 0; second < 10; second++) {
    for (const [to, bytes] of [
      [api, lines],
      [raw, preface],
      [call, message],
    ]) {
      if (!to.destroyed && to.writable) to.write(bytes.subarray(second, second + 1));
    }
    await sleep(1000);
  }
  for (const to of [api, raw, call]) to.destroy();
  end();
  return ['ten seconds'];
}

/** Header blocks that never end: 64 KiB of them, and many small sessions that open and go. */
export async function hugeHeaders({ agent }) {
  const { session, end } = openSession(agent);
  try {
    const headers = Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`x-${index}`, 'v'.repeat(1000)]));
    const { path, requestSerialize } = federationService.heartbeat;
    const body = frame(requestSerialize({ runId: '', round: 0, activity: '', progress: 0, loss: 0, ...greeting() }));
    return [await rawCall(session, path, { body, headers, waitMs: 2000 })];
  } finally {
    end();
  }
}

/** Connections that are cut in the middle of the handshake. */
export async function cutHandshakes({ agent }) {
  const seen = [];
  for (let index = 0; index < 30; index++) {
    const socket = openTls(agent);
    socket.on('error', () => undefined);
    const turn = index % 2 === 0 ? once(socket, 'secureConnect') : sleep(2);
    await Promise.race([turn.catch(() => undefined), sleep(1000)]);
    socket.destroy();
    seen.push('cut');
  }
  return seen;
}
