/** What lies between an agent and a coordinator: a proxy that keeps what it passes on, and a search for what must not be there. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';

/** Forwards TCP connections and records both directions. */
export interface Proxy {
  /** localhost:port. */
  readonly address: string;
  /** All bytes that agents sent, connection after connection, and all that they were sent. */
  up(): Buffer;
  down(): Buffer;
  close(): Promise<void>;
}

/** @param target host:port */
export async function openProxy(target: string): Promise<Proxy> {
  const [host = '', port] = target.split(':');
  const sockets = new Set<Socket>();
  const recorded = { up: new Map<Socket, Buffer[]>(), down: new Map<Socket, Buffer[]>() };
  const keep = (direction: 'up' | 'down', socket: Socket) => (piece: Buffer) => {
    const pieces = recorded[direction].get(socket) ?? [];
    recorded[direction].set(socket, pieces);
    pieces.push(piece);
  };
  const server = createServer((near) => {
    const far = connect(Number(port), host);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('data', keep(from === near ? 'up' : 'down', near));
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const all = (direction: 'up' | 'down'): Buffer => Buffer.concat([...recorded[direction].values()].flat());
  return {
    address: `localhost:${(server.address() as AddressInfo).port}`,
    up: () => all('up'),
    down: () => all('down'),
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((done) => server.close(done));
    },
  };
}

/** The bytes of one float32 value a hundred times in a row, as a delta of constants has them. */
export function repeated(value: number): Buffer {
  return Buffer.from(new Float32Array(100).fill(value).buffer);
}

/** Files under a directory that hold these bytes, with the count of the bytes that were searched. */
export async function filesWith(directory: string, bytes: Buffer): Promise<{ found: string[]; searched: number }> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const found: string[] = [];
  let searched = 0;
  for (const entry of entries.filter((one) => one.isFile())) {
    const path = join(entry.parentPath, entry.name);
    const content = await readFile(path);
    searched += content.byteLength;
    if (content.includes(bytes)) found.push(path);
  }
  return { found, searched };
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
