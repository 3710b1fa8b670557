/**
 * One side of the transport's floor, a process of its own: floor-engine.mjs server|client. It reads its setting as a first JSON line
 * and answers one JSON line to each that follows. HTTP/2 of node:http2 alone: no gRPC, no disk, nothing is done with what arrives.
 */
import { createCipheriv, createDecipheriv, createHash } from 'node:crypto';
import { connect, createSecureServer, createServer } from 'node:http2';
import { createInterface } from 'node:readline';

const windowBytes = 8 << 20;
const settings = { initialWindowSize: windowBytes, maxFrameSize: 1 << 20 };
const partBytes = 1 << 20;
const cipher = 'aes-256-gcm';
const [key, nonce, tagBytes] = [Buffer.alloc(32, 7), Buffer.alloc(12, 7), 16];

const widen = (session) => session.setLocalWindowSize(windowBytes);

/** Reads all of a stream, each piece given to `see`; its length. */
async function drain(stream, see) {
  let length = 0;
  for await (const piece of stream) {
    see?.(piece, length);
    length += piece.length;
  }
  return length;
}

/** Writes the bytes a part at a time, no faster than they leave; `make` makes what is sent of a part. */
async function send(stream, bytes, make = (part) => part) {
  for (let from = 0; from < bytes.length; from += partBytes) {
    if (!stream.write(make(bytes.subarray(from, from + partBytes))))
      await new Promise((resolve) => stream.once('drain', resolve));
  }
}

/** Opens a sealed update as it comes, the tag at its end: throws where it does not hold. */
async function openSealed(stream, length) {
  const [hash, decipher, tag] = [createHash('sha256'), createDecipheriv(cipher, key, nonce), []];
  const received = await drain(stream, (piece, at) => {
    const body = piece.subarray(0, Math.max(0, length - at));
    hash.update(body);
    decipher.update(body);
    if (body.length < piece.length) tag.push(piece.subarray(body.length));
  });
  decipher.setAuthTag(Buffer.concat(tag));
  decipher.final();
  hash.digest();
  return received - tagBytes;
}

async function startServer({ parameters, tls, sealed }) {
  const down = Buffer.alloc(parameters * 2, 1);
  const server = tls === undefined ? createServer({ settings }) : createSecureServer({ settings, ...tls });
  const answer = async (stream, headers) => {
    if (headers[':method'] === 'GET') {
      stream.respond({ ':status': 200 });
      await send(stream, down);
      stream.end();
      return;
    }
    const received = await (sealed ? openSealed(stream, parameters * 4) : drain(stream));
    stream.respond({ ':status': received === parameters * 4 ? 200 : 400 }, { endStream: true });
  };
  server.on('session', widen);
  server.on('stream', (stream, headers) => {
    answer(stream, headers).catch((error) => stream.destroy(error));
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  /** The base is hashed once for all agents. */
  const beginRound = () => ({ hash: sealed ? createHash('sha256').update(down).digest('hex') : '' });
  return { ready: { port: server.address().port }, commands: { beginRound, cpu } };
}

async function startClient({ parameters, ca, url, sealed }) {
  const up = Buffer.alloc(parameters * 4, 1);
  const session = connect(url, { settings, ca });
  await new Promise((resolve, reject) => session.once('connect', resolve).once('error', reject));
  widen(session);
  const round = async () => {
    const hash = sealed ? createHash('sha256') : undefined;
    const received = await drain(session.request({ ':path': '/' }), (piece) => hash?.update(piece));
    hash?.digest();
    if (received !== parameters * 2) throw new Error(`${received} bytes came down, not ${parameters * 2}`);
    const request = session.request({ ':method': 'POST', ':path': '/' });
    const status = new Promise((resolve, reject) => request.once('response', resolve).once('error', reject));
    await (sealed ? sendSealed(request, up) : send(request, up));
    request.end();
    const { ':status': code } = await status;
    if (code !== 200) throw new Error(`the server answered ${code}`);
    await drain(request);
    return { received };
  };
  return { ready: {}, commands: { round, cpu } };
}

async function sendSealed(request, up) {
  const [hash, seal] = [createHash('sha256'), createCipheriv(cipher, key, nonce)];
  await send(request, up, (part) => {
    const made = seal.update(part);
    hash.update(made);
    return made;
  });
  seal.final();
  hash.digest();
  request.write(seal.getAuthTag());
}

/** CPU seconds that this process has spent so far. */
function cpu() {
  const { user, system } = process.cpuUsage();
  return { seconds: (user + system) / 1e6 };
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const setting = JSON.parse((await lines.next()).value);
const { ready, commands } = await (process.argv[2] === 'server' ? startServer : startClient)(setting);
console.log(JSON.stringify(ready));
for await (const line of lines) console.log(JSON.stringify(await commands[JSON.parse(line).do]()));
process.exit(0);
