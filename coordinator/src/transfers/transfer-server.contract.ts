/** Transfers on loopback for specs: real TLS, HTTP/2 and gRPC; the blobs lie in memory or where the spec says. */
import { credentials } from '@grpc/grpc-js';

import { federationClient, type FederationClient } from '@graft/protos/clients.adapter';
import type * as wire from '@graft/protos/messages';
import { federationService } from '@graft/protos/service-definitions.adapter';
import { createCa, createServerCertificate, signAgentCertificate } from '@graft/protos/trust/authority.adapter';
import { createCsr } from '@graft/protos/trust/csr.adapter';

import { grants, type Grants } from '../federation/grants.js';
import { startGrpcServer } from '../federation/grpc-server.driver.js';
import { transferMeter, type TransferMeter } from '../federation/transfer-meter.js';
import { silentLog } from '../server/log.js';
import { transferHandlers, type TransferPorts } from './transfers.grpc.js';

export interface TransferServer {
  readonly client: FederationClient;
  readonly meter: TransferMeter;
  readonly grants: Grants;
  /** host:port. */
  readonly address: string;
  /** PEM: what another client needs to be the agent. */
  readonly tls: { readonly ca: string; readonly key: string; readonly certificate: string };
  close(): Promise<void>;
}

export const agentId = 'agent-1';

/** A server, and a client of the one agent that it knows. */
export async function startTransferServer(
  options: Pick<TransferPorts, 'blobs'> & Partial<TransferPorts>,
): Promise<TransferServer> {
  const atMs = Date.now();
  const ca = await createCa('spec', { atMs });
  const { certificatePem, privateKeyPem } = await createServerCertificate(ca, ['localhost'], { atMs });
  const [meter, granted] = [transferMeter(), options.grants ?? grants()];
  const handlers = transferHandlers({
    agents: { find: async (id) => ({ id, name: id, state: 'active' }), seen: async () => undefined },
    grants: granted,
    meter,
    clock: { nowMs: () => Date.now() },
    log: silentLog,
    ...options,
  });
  const { download, uploadState, upload } = federationService;
  const server = await startGrpcServer({
    host: '127.0.0.1',
    port: 0,
    portFlag: '--grpc-port',
    tls: { key: privateKeyPem, certificate: certificatePem, clientCa: ca.certificatePem },
    service: { download, uploadState, upload },
    handlers,
  });
  const csr = await createCsr();
  const chain = await signAgentCertificate(ca, csr.csrDer, { agentId, atMs });
  const [root, key, certificate] = [ca.certificatePem, csr.privateKeyPem, chain].map((pem) => Buffer.from(pem));
  const address = `localhost:${server.port}`;
  const client = federationClient(address, credentials.createSsl(root ?? null, key ?? null, certificate ?? null));
  return {
    client,
    meter,
    grants: granted,
    address,
    tls: { ca: ca.certificatePem, key: csr.privateKeyPem, certificate: chain },
    close: async () => {
      client.close();
      await server.close(200);
    },
  };
}

/** A plan that allows reading `base` and an upload of its size. */
export function planFor(base: wire.BlobRef, rates: Partial<wire.TrainPlan> = {}): wire.Instruction {
  const empty = new Uint8Array();
  return {
    id: 'plan',
    kind: 'train',
    train: {
      taskId: '',
      runId: '',
      round: 1,
      base,
      baseEncoding: 'fp16',
      layoutHash: '',
      roundKey: empty,
      roundKeySignature: empty,
      deadlineMs: 0,
      ...rates,
      work: 'probe',
      probe: { add: 0 },
    },
  };
}
