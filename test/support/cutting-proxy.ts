/** A TCP proxy that counts what passes, and cuts every connection when it is told to. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface CuttingProxy {
  /** localhost:port. */
  readonly address: string;
  /** Bytes that passed since the start, over all connections. */
  passed(): { readonly up: number; readonly down: number };
  /** Cuts all connections once so many more bytes have passed in a direction; answers when that has happened. */
  cutAfter(direction: 'up' | 'down', bytes: number): Promise<void>;
  close(): Promise<void>;
}

/** @param target host:port */
export async function openCuttingProxy(target: string): Promise<CuttingProxy> {
  const [host = '', port] = target.split(':');
  const sockets = new Set<Socket>();
  const passed = { up: 0, down: 0 };
  let waiting: { direction: 'up' | 'down'; at: number; done: () => void }[] = [];
  const cutAll = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const count = (direction: 'up' | 'down', bytes: number): void => {
    passed[direction] += bytes;
    const due = waiting.filter((one) => one.direction === direction && passed[direction] >= one.at);
    if (due.length === 0) return;
    waiting = waiting.filter((one) => !due.includes(one));
    cutAll();
    for (const { done } of due) done();
  };
  const server = createServer((near) => {
    const far = connect(Number(port), host);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.pipe(to);
      from.on('data', (piece: Buffer) => count(from === near ? 'up' : 'down', piece.byteLength));
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    address: `localhost:${(server.address() as AddressInfo).port}`,
    passed: () => ({ ...passed }),
    cutAfter: async (direction, bytes) =>
      new Promise((done) => waiting.push({ direction, at: passed[direction] + bytes, done })),
    close: async () => {
      cutAll();
      await new Promise((done) => server.close(done));
    },
  };
}
