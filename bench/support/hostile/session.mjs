/** Raw HTTP/2 and TLS to a coordinator: what a gRPC library would not send. */
import { connect as connectHttp2 } from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';

/** A session with the certificate of an identity. `end()` closes it whatever it does. */
export function openSession({ address, ca, certificate, privateKey }, settings = {}) {
  const session = connectHttp2(`https://${address}`, { ca, cert: certificate, key: privateKey, settings });
  session.on('error', () => session.destroy());
  return { session, end: () => session.destroy() };
}

/** TLS with the certificate of an identity and no HTTP/2 above it. */
export function openTls({ address, ca, certificate, privateKey }) {
  const [host, port] = address.split(':');
  return connectTls({ host, port: Number(port), ca, cert: certificate, key: privateKey, ALPNProtocols: ['h2'] });
}

/** A gRPC frame; `length` may lie. */
export function frame(bytes, { compressed = 0, length = bytes.length } = {}) {
  const head = Buffer.alloc(5);
  head.writeUInt8(compressed, 0);
  head.writeUInt32BE(length >>> 0, 1);
  return Buffer.concat([head, bytes]);
}

export function openStream(session, path, headers = {}) {
  const fields = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers', ...headers };
  const stream = session.request(fields, { endStream: false });
  stream.on('error', () => stream.destroy());
  return stream;
}

/** Sends bytes as the body of one call. The answer is its gRPC status, or how else it ended within `waitMs`. */
export async function rawCall(session, path, { body, headers, waitMs = 3000 }) {
  if (session.destroyed || session.closed) return 'closed';
  const stream = openStream(session, path, headers);
  let status = '';
  const read = (fields) => (status = String(fields['grpc-status'] ?? status));
  stream.on('response', read);
  stream.on('trailers', read);
  stream.resume();
  stream.end(body);
  const waiting = new AbortController();
  await Promise.race([
    new Promise((done) => stream.once('close', done)),
    sleep(waitMs, undefined, { signal: waiting.signal }).catch(() => undefined),
  ]);
  waiting.abort();
  stream.destroy();
  return status === '' ? 'no answer' : `status ${status}`;
}
