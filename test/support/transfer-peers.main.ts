/**
 * One end of a transfer as a process of its own, for measuring its memory: `coordinator DIR HASH SIZE` serves the blob, and
 * takes one of the same size; `agent DIR FILE` fetches what it is told on stdin and sends it back as a file. Real TLS, gRPC,
 * blob directory and cache; no engine, no database. Says what it did, and its peak memory, as JSON lines.
 */
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { credentials } from '@grpc/grpc-js';

import { openBlobCache } from '@graft/client-agent/daemon/blob-cache.adapter';
import { agentTransfers } from '@graft/client-agent/transfers/agent-transfers.adapter';
import { systemTime } from '@graft/client-agent/transfers/system-time.adapter';
import { openBlobDirectory } from '@graft/coordinator/blobs/blob-directory.adapter';
import { agentId, planFor, startTransferServer } from '../../coordinator/src/transfers/transfer-server.contract.js';
import { federationClient } from '@graft/protos/clients.adapter';

const [role = '', directory = ''] = process.argv.slice(2);
const say = (values: object): void => void process.stdout.write(`${JSON.stringify(values)}\n`);

/** Peak and present memory of this process, bytes. */
const memory = (): object => ({
  peakBytes: process.resourceUsage().maxRSS * 1024,
  rssBytes: process.memoryUsage.rss(),
});

async function coordinator(): Promise<void> {
  const [hash = '', size = ''] = process.argv.slice(4);
  const server = await startTransferServer({ blobs: await openBlobDirectory(directory) });
  const blob = { hash, sizeBytes: Number(size) };
  server.grants.instructed(agentId, planFor(blob));
  say({ address: server.address, ...server.tls, ...memory() });
  for await (const _ of createInterface(process.stdin)) say({ ...server.meter.total(), ...memory() });
  await server.close();
}

interface Order {
  readonly address: string;
  /** PEM. */
  readonly ca: string;
  readonly key: string;
  readonly certificate: string;
  readonly fetch?: { readonly hash: string; readonly sizeBytes: number };
  readonly send?: { readonly file: string; readonly hash: string; readonly sizeBytes: number };
}

async function agent(): Promise<void> {
  const cache = openBlobCache(join(directory, 'cache'));
  const transfers = agentTransfers({ cache, settings: { deltas: 'never' }, time: systemTime });
  const { signal } = new AbortController();
  say(memory());
  for await (const line of createInterface(process.stdin)) {
    const { address, ca, key, certificate, fetch, send } = JSON.parse(line) as Order;
    const [root, own, chain] = [ca, key, certificate].map((pem) => Buffer.from(pem));
    const client = federationClient(address, credentials.createSsl(root ?? null, own ?? null, chain ?? null));
    const startedAtMs = Date.now();
    if (fetch !== undefined) await transfers.fetch(client, fetch, { signal, onProgress: () => undefined });
    if (send !== undefined) {
      const { file, ...blob } = send;
      await transfers.send(client, { file, blob }, { signal, onBegin: async () => undefined });
    }
    say({ ms: Date.now() - startedAtMs, ...memory() });
    client.close();
  }
}

await (role === 'coordinator' ? coordinator() : agent());
