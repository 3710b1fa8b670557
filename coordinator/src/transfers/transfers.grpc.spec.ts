/** Downloads and uploads on loopback, with peers that are slow, silent or hostile. */
import { once } from 'node:events';

import type { Metadata, ServiceError } from '@grpc/grpc-js';
import { jest } from '@jest/globals';

import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import type * as wire from '@graft/protos/messages';
import { readDownloadAnswer } from '@graft/protos/transfer/download-answer.adapter';
import { boundReadAhead } from '@graft/protos/transfer/read-ahead.adapter';

import { hashOf, sampleBytes } from '../blobs/blob-store.contract.js';
import type { BlobStore } from '../blobs/blob-store.js';
import { until } from '../federation/follow.contract.js';
import { memoryBlobs } from '../federation/memory-blobs.contract.js';
import { silentLog } from '../server/log.js';
import { agentId, planFor, startTransferServer, type TransferServer } from './transfer-server.contract.js';
import type { TransferPorts } from './transfers.grpc.js';

jest.setTimeout(20_000);

const { chunkBytes } = limits;
const servers: TransferServer[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

async function serve(blobs: BlobStore, ports: Partial<TransferPorts> = {}): Promise<TransferServer> {
  const server = await startTransferServer({ blobs, ...ports });
  servers.push(server);
  return server;
}

const refOf = (bytes: Uint8Array): wire.BlobRef => ({ hash: hashOf(bytes), sizeBytes: bytes.byteLength });
const codeOf = async (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => 'accepted',
    (error: ServiceError) => error.metadata.get('graft-code')[0],
  );

async function all(chunks: AsyncIterable<wire.Chunk>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const { data } of chunks) parts.push(data);
  return Buffer.concat(parts);
}

describe('a download', () => {
  test('to a reader that does not read is not read from the store, and is cut when it stands still', async () => {
    const blobs = memoryBlobs();
    const { hash, sizeBytes } = await blobs.put(sampleBytes(32 * chunkBytes));
    let read = 0;
    const counting = { ...blobs, readChunk: (name: string, index: number) => (read++, blobs.readChunk(name, index)) };
    const said: string[] = [];
    const log = { ...silentLog, warn: (_: object, message: string) => void said.push(message) };
    const { client, grants } = await serve(counting, { silentMs: 700, log });
    grants.instructed(agentId, planFor({ hash, sizeBytes }));
    const call = client.download({ hash, firstChunk: 0 });
    boundReadAhead(call);
    const reader = (call as AsyncIterable<wire.Chunk>)[Symbol.asyncIterator]();
    await reader.next();
    await until(() => said.length > 0);
    expect(said).toEqual(['a download stands still and is cut']);
    // The window of 4 MiB, what the peer holds unread, the chunk that waits and the one behind it.
    expect(read).toBeGreaterThan(2);
    expect(read).toBeLessThanOrEqual(10);
    const rest = async (): Promise<void> => {
      while ((await reader.next()).done !== true);
    };
    await expect(rest()).rejects.toMatchObject({ code: 1 });
    expect(read).toBeLessThanOrEqual(10);
  });

  test('that is slow but moves is not cut', async () => {
    const blobs = memoryBlobs();
    const bytes = sampleBytes(6 * chunkBytes);
    const blob = await blobs.put(bytes);
    const { client, grants } = await serve(blobs, { silentMs: 1_500 });
    grants.instructed(agentId, planFor(blob, { maxDownloadBytesPerS: 3 * chunkBytes }));
    const atMs = Date.now();
    expect(hashOf(await all(client.download({ hash: blob.hash, firstChunk: 0 })))).toBe(blob.hash);
    // Half a second's bytes pass at once.
    expect(Date.now() - atMs).toBeGreaterThan(1_200);
  });

  test('comes as a delta where there is one to what the agent may have read, and says so', async () => {
    const blobs = memoryBlobs();
    const [whole, base, delta] = [sampleBytes(3_000, 1), sampleBytes(3_000, 2), sampleBytes(2 * chunkBytes, 3)];
    const [blob, from, difference] = [await blobs.put(whole), await blobs.put(base), await blobs.put(delta)];
    const asked: (readonly string[])[] = [];
    const find: NonNullable<TransferPorts['deltas']>['find'] = async (bases) => {
      asked.push(bases);
      return { from: from.hash, blob: difference };
    };
    const { client, grants } = await serve(blobs, { deltas: { find } });
    grants.instructed(agentId, planFor(from));
    grants.instructed(agentId, planFor(blob));
    const secret = hashOf(sampleBytes(1));
    const ask = async (request: Partial<wire.DownloadRequest>): Promise<[unknown, string]> => {
      const call = client.download({ hash: blob.hash, firstChunk: 0, ...request });
      const [metadata] = (await once(call, 'metadata')) as [Metadata];
      return [readDownloadAnswer(metadata), hashOf(await all(call))];
    };
    const named = { from: from.hash, blob: difference };
    expect(await ask({ bases: [secret, from.hash] })).toEqual([{ firstChunk: 0, delta: named }, difference.hash]);
    expect(asked).toEqual([[from.hash]]);
    // What the agent has of the delta does not come again; what it has of another one is of no use.
    expect(await ask({ bases: [from.hash], delta: difference.hash, firstChunk: 1 })).toEqual([
      { firstChunk: 1, delta: named },
      hashOf(delta.subarray(chunkBytes)),
    ]);
    expect((await ask({ bases: [from.hash], delta: secret, firstChunk: 1 }))[0]).toEqual({
      firstChunk: 0,
      delta: named,
    });
    // No base that it may have read: the whole.
    expect(await ask({ bases: [secret] })).toEqual([{ firstChunk: 0 }, blob.hash]);
    expect(await ask({})).toEqual([undefined, blob.hash]);
  });

  test('of what no instruction named is not found, whatever bases are offered', async () => {
    const blobs = memoryBlobs();
    const [granted, other] = [await blobs.put(sampleBytes(10, 1)), await blobs.put(sampleBytes(10, 2))];
    const { client, grants } = await serve(blobs);
    grants.instructed(agentId, planFor(granted));
    const stolen = all(client.download({ hash: other.hash, firstChunk: 0, bases: [granted.hash] }));
    expect(await codeOf(stolen)).toBe('NOT_FOUND');
    expect(await codeOf(all(client.download({ hash: granted.hash, firstChunk: 2 })))).toBe('CHUNK_OUT_OF_RANGE');
  });
});

describe('an upload', () => {
  const bytes = sampleBytes(3 * chunkBytes + 5);
  const blob = refOf(bytes);

  async function send(
    { client }: TransferServer,
    chunks: readonly Uint8Array[],
    start: { blob?: wire.BlobRef; firstChunk?: number } = {},
  ): Promise<wire.UploadReceipt> {
    const call = client.upload({ blob, firstChunk: 0, ...start });
    for (const data of chunks) call.chunks.write({ data });
    call.chunks.end();
    return call.receipt;
  }
  const chunksOf = (from: number, to = 4): Uint8Array[] =>
    Array.from({ length: to - from }, (_, index) =>
      bytes.slice((from + index) * chunkBytes, (from + index + 1) * chunkBytes),
    );
  async function ready(ports: Partial<TransferPorts> = {}): Promise<TransferServer & { blobs: BlobStore }> {
    const blobs = memoryBlobs();
    const server = await serve(blobs, ports);
    server.grants.instructed(agentId, planFor({ hash: 'a'.repeat(64), sizeBytes: bytes.byteLength }));
    return { ...server, blobs };
  }

  test('that was cut goes on, and only the rest travels', async () => {
    const server = await ready();
    expect(await codeOf(send(server, chunksOf(0, 2)))).toBe('CHUNK_OUT_OF_ORDER');
    expect(await server.client.uploadState({ blob })).toEqual({ nextChunk: 2, complete: false });
    await send(server, chunksOf(2), { firstChunk: 2 });
    expect(server.meter.total().up).toBe(bytes.byteLength);
    expect(await server.blobs.has(blob.hash)).toBe(bytes.byteLength);
  });

  test.each<[string, () => Uint8Array[], { blob?: wire.BlobRef; firstChunk?: number }, string]>([
    ['with a chunk of another length', () => [bytes.slice(0, 1000)], {}, 'INVALID_REQUEST'],
    ['with an empty chunk', () => [new Uint8Array()], {}, 'INVALID_REQUEST'],
    ['that begins past the end', () => chunksOf(3), { firstChunk: 9 }, 'CHUNK_OUT_OF_ORDER'],
    ['that begins past what is stored', () => chunksOf(3), { firstChunk: 3 }, 'CHUNK_OUT_OF_ORDER'],
    ['that says less than it sends', () => chunksOf(0), { blob: { ...blob, sizeBytes: 2 * chunkBytes } }, 'TOO_LARGE'],
    [
      'that says more than it sends',
      () => chunksOf(0),
      { blob: { ...blob, sizeBytes: bytes.byteLength + 1 } },
      'INVALID_REQUEST',
    ],
    ['of another hash', () => chunksOf(0), { blob: { ...blob, hash: 'b'.repeat(64) } }, 'BLOB_CORRUPT'],
    [
      'larger than the plan implies',
      () => chunksOf(0),
      { blob: { ...blob, sizeBytes: 100 * chunkBytes } },
      'TOO_LARGE',
    ],
  ])('%s is refused', async (_, chunks, start, code) => {
    const server = await ready();
    expect(await codeOf(send(server, chunks(), start))).toBe(code);
    expect(await server.blobs.has(blob.hash)).toBeUndefined();
  });

  test('that never ends is stopped at the size that it said', async () => {
    const server = await ready();
    const call = server.client.upload({ blob: { ...blob, sizeBytes: 2 * chunkBytes }, firstChunk: 0 });
    let sent = 0;
    const answer = codeOf(call.receipt);
    const over = { is: false };
    void answer.then(() => (over.is = true));
    while (!over.is && sent < 200) {
      await new Promise<void>((resolve) => {
        call.chunks.write({ data: bytes.slice(0, chunkBytes) }, () => resolve());
        void answer.then(() => resolve());
      });
      sent += 1;
    }
    expect(await answer).toBe('TOO_LARGE');
    expect(server.meter.total().up).toBe(2 * chunkBytes);
  });

  test('of the same blob twice at once is stored once, and the slower one is told where to go on', async () => {
    const server = await ready();
    const outcomes = await Promise.all([codeOf(send(server, chunksOf(0))), codeOf(send(server, chunksOf(0)))]);
    expect(outcomes).toContain('accepted');
    expect(
      outcomes.every((code) => ['accepted', 'CHUNK_OUT_OF_ORDER', 'NOT_FOUND', 'BLOB_CORRUPT'].includes(String(code))),
    ).toBe(true);
    expect(await server.blobs.has(blob.hash)).toBe(bytes.byteLength);
  });

  test('of which nothing comes is cut, and what came is kept', async () => {
    const server = await ready({ silentMs: 300 });
    const call = server.client.upload({ blob, firstChunk: 0 });
    call.chunks.write({ data: bytes.slice(0, chunkBytes) });
    expect(await codeOf(call.receipt)).toBe('TIMED_OUT');
    expect(await server.client.uploadState({ blob })).toEqual({ nextChunk: 1, complete: false });
  });

  test('is as fast as its task allows, and not cut for it', async () => {
    const server = await ready({ silentMs: 1_500 });
    const plan = planFor({ hash: 'a'.repeat(64), sizeBytes: bytes.byteLength }, { maxUploadBytesPerS: 2 * chunkBytes });
    server.grants.instructed(agentId, plan);
    const atMs = Date.now();
    await send(server, chunksOf(0));
    expect(Date.now() - atMs).toBeGreaterThan(700);
  });

  test('onto a full disk says so, and goes on when there is room', async () => {
    let isFull = true;
    const blobs = memoryBlobs();
    const full: BlobStore = {
      ...blobs,
      appendChunk: async (hash, index, data) => {
        if (isFull && index === 2) throw new GraftError('DISK_FULL', 'no space is left for blobs');
        return blobs.appendChunk(hash, index, data);
      },
    };
    const server = await serve(full);
    server.grants.instructed(agentId, planFor({ hash: 'a'.repeat(64), sizeBytes: bytes.byteLength }));
    const refused = await send(server, chunksOf(0)).catch((error: ServiceError) => error);
    expect(refused).toMatchObject({ code: 8, details: expect.stringContaining('no space is left') });
    isFull = false;
    const { nextChunk } = await server.client.uploadState({ blob });
    expect(nextChunk).toBe(2);
    await send(server, chunksOf(2), { firstChunk: 2 });
    expect(await blobs.has(blob.hash)).toBe(bytes.byteLength);
  });
});
