/**
 * Memory of both ends while a large blob travels down and up: the same for any size. 256 MB, or what GRAFT_TRANSFER_BYTES
 * says; the blob is many times what either end may grow by.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createCipheriv, createHash } from 'node:crypto';
import { copyFile, mkdir, open, truncate } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

import { jest } from '@jest/globals';

import { folder } from './support/commands.js';

jest.setTimeout(600_000);

const mebibyte = 1 << 20;
const sizeBytes = Number(process.env.GRAFT_TRANSFER_BYTES ?? 256_000_000);

/** Windows, chunks in hand, and garbage of them that has not been collected yet. */
const mostGrowth = 160 * mebibyte;

interface Said {
  readonly peakBytes: number;
  readonly ms?: number;
  readonly up?: number;
  readonly down?: number;
  readonly address?: string;
}

interface Peer {
  readonly process: ChildProcess;
  next(): Promise<Said & Record<string, unknown>>;
  tell(order: object): void;
}

function startPeer(args: readonly string[]): Peer {
  const root = resolve(import.meta.dirname, '..');
  const program = join(root, 'test/support/transfer-peers.main.ts');
  const loader = join(root, 'test/support/run-source.js');
  const child = spawn(process.execPath, ['--no-warnings', '--import', loader, program, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  return {
    process: child,
    next: async () => {
      const line = await lines.next();
      if (line.done === true) throw new Error(`the ${args[0]} ended`);
      return JSON.parse(line.value) as Said & Record<string, unknown>;
    },
    tell: (order) => void child.stdin.write(`${JSON.stringify(order)}\n`),
  };
}

/** Writes noise, and answers its sha256. */
async function writeNoise(file: string, seed: number): Promise<string> {
  const key = Buffer.alloc(16, seed);
  const cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
  const hash = createHash('sha256');
  const zeros = new Uint8Array(mebibyte);
  const handle = await open(file, 'w');
  try {
    for (let at = 0; at < sizeBytes; at += mebibyte) {
      const piece = cipher.update(zeros.subarray(0, Math.min(mebibyte, sizeBytes - at)));
      hash.update(piece);
      await handle.writeFile(piece);
    }
  } finally {
    await handle.close();
  }
  return hash.digest('hex');
}

it('a blob travels down and up while neither end grows with it', async () => {
  const place = await folder();
  const peers: Peer[] = [];
  try {
    const noise = join(place.path, 'noise');
    const hash = await writeNoise(noise, 1);
    const blobs = join(place.path, 'blobs', hash.slice(0, 2));
    await mkdir(blobs, { recursive: true });
    await copyFile(noise, join(blobs, hash));
    const sent = await writeNoise(noise, 2);
    const coordinator = startPeer(['coordinator', join(place.path, 'blobs'), hash, String(sizeBytes)]);
    peers.push(coordinator);
    const { peakBytes: coordinatorBefore, ...access } = await coordinator.next();
    const agent = startPeer(['agent', place.path]);
    peers.push(agent);
    const { peakBytes: agentBefore } = await agent.next();

    agent.tell({ ...access, fetch: { hash, sizeBytes } });
    const down = await agent.next();
    agent.tell({ ...access, send: { file: noise, hash: sent, sizeBytes } });
    const up = await agent.next();
    coordinator.tell({});
    const totals = await coordinator.next();

    expect(totals).toMatchObject({ down: sizeBytes, up: sizeBytes });
    const grown = {
      coordinator: (totals.peakBytes - coordinatorBefore) / mebibyte,
      agentDown: (down.peakBytes - agentBefore) / mebibyte,
      agentUp: (up.peakBytes - agentBefore) / mebibyte,
    };
    if (process.env.GRAFT_TRANSFER_BYTES !== undefined) {
      process.stdout.write(
        `${JSON.stringify({ sizeBytes, downMs: down.ms, upMs: up.ms, coordinatorPeak: totals.peakBytes, agentPeak: up.peakBytes, ...grown })}\n`,
      );
    }
    expect(Math.max(grown.coordinator, grown.agentDown, grown.agentUp) * mebibyte).toBeLessThan(mostGrowth);
    await truncate(noise, 0);
  } finally {
    for (const { process: child } of peers) child.kill('SIGKILL');
    await place.remove();
  }
});
