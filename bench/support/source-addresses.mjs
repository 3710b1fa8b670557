/** A door for many sites on one machine: each connection goes on from a loopback address of its own, as sites have addresses of their own. */
import { connect, createServer } from 'node:net';

/** Connections that one address may make before the next one is taken; enrolment lets so many in at once. */
const connectionsPerAddress = 20;

/**
 * Listens on a free port and passes every connection on to `target` (host:port), from 127.1.0.1, 127.1.0.2 and so on.
 * Linux takes every address of 127.0.0.0/8 for its own.
 */
export async function openDoor(target) {
  const port = Number(target.split(':').at(-1));
  const sockets = new Set();
  let accepted = 0;
  const server = createServer((near) => {
    const site = Math.floor(accepted / connectionsPerAddress) + 1;
    accepted += 1;
    const far = connect({ host: '127.0.0.1', port, localAddress: `127.1.${site >> 8}.${site & 255}` });
    for (const [from, to] of [
      [near, far],
      [far, near],
    ]) {
      sockets.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return {
    address: `localhost:${server.address().port}`,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
