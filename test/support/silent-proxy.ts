/** A way between agents and a coordinator that can fall silent: what is sent is swallowed, and no socket is closed, as when a cable is cut. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface SilentProxy {
  /** localhost:port. */
  readonly address: string;
  /** Open connections. */
  count(): number;
  /** Swallows what comes on the connections that are open now; new ones pass. */
  silence(): void;
  close(): Promise<void>;
}

/** @param target host:port */
export async function openSilentProxy(target: string): Promise<SilentProxy> {
  const [host = '', port] = target.split(':');
  const sockets = new Set<Socket>();
  const pairs = new Map<Socket, Socket>();
  const server = createServer((near) => {
    const far = connect(Number(port), host);
    pairs.set(near, far);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        pairs.delete(near);
        to.destroy();
      });
    }
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    address: `localhost:${(server.address() as AddressInfo).port}`,
    count: () => pairs.size,
    silence: () => {
      for (const [near, far] of pairs) {
        for (const [from, to] of [
          [near, far],
          [far, near],
        ] as const) {
          from.unpipe(to);
          from.removeAllListeners('close');
          from.on('data', () => undefined);
        }
        pairs.delete(near);
      }
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((done) => server.close(done));
    },
  };
}
