/** A TCP balancer for tests: each connection goes to the next server in turn that takes it; what is dead is passed over. */
import { connect, createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';

export interface Balancer {
  readonly port: number;
  /** Ports of the servers, in turn; may be changed at any time. */
  servers: number[];
  close(): Promise<void>;
}

/** How long a server may take to accept. */
const acceptMs = 1_000;

export async function openBalancer(servers: readonly number[]): Promise<Balancer> {
  const open = new Set<Socket>();
  let turn = 0;
  const balancer: Balancer = {
    port: 0,
    servers: [...servers],
    close: async () => {
      for (const socket of open) socket.destroy();
      await new Promise((done) => listener.close(done));
    },
  };

  function keep(socket: Socket): void {
    open.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => open.delete(socket));
  }

  /** The next server that accepts, each asked once. */
  async function reach(): Promise<Socket | undefined> {
    const all = balancer.servers;
    for (let asked = 0; asked < all.length; asked++) {
      const socket = await accepted(all[turn++ % all.length] ?? 0);
      if (socket !== undefined) return socket;
    }
    return undefined;
  }

  const listener = createServer({ allowHalfOpen: false, pauseOnConnect: true }, (client) => {
    keep(client);
    void pair(client);
  });

  async function pair(client: Socket): Promise<void> {
    const server = await reach();
    if (server === undefined || client.destroyed) {
      client.destroy();
      server?.destroy();
      return;
    }
    keep(server);
    client.once('close', () => server.destroy());
    server.once('close', () => client.destroy());
    client.pipe(server).pipe(client);
    client.resume();
  }
  await new Promise<void>((done) => listener.listen(0, '127.0.0.1', done));
  return Object.assign(balancer, { port: (listener.address() as AddressInfo).port });
}

function accepted(port: number): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', timeout: acceptMs });
    const fail = (): void => {
      socket.destroy();
      resolve(undefined);
    };
    socket.once('error', fail);
    socket.once('timeout', fail);
    socket.once('connect', () => {
      socket.off('error', fail);
      socket.off('timeout', fail);
      socket.setTimeout(0);
      resolve(socket);
    });
  });
}
