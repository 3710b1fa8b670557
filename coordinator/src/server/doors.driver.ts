/** The listeners of a coordinator: enrolment, federation and admin API, opened in this order and closed in the other. */
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { AddressInfo } from 'node:net';

import type { Clock } from '@graft/core/clock';
import { enrolmentService, federationService } from '@graft/protos/service-definitions.adapter';
import { createServerCertificate } from '@graft/protos/trust/authority.adapter';

import type { Config } from '../config/config.js';
import type { EnrolPorts } from '../enrolment/enrol.js';
import { enrolmentHandlers } from '../enrolment/enrolment.grpc.js';
import { federationHandlers, type FederationPorts } from '../federation/federation.grpc.js';
import { bindError, defaultKeepalive, startGrpcServer, type GrpcServer } from '../federation/grpc-server.driver.js';
import { observedHandlers } from '../system/observed/grpc-handlers.adapter.js';
import type { Telemetry } from '../system/telemetry.js';
import type { CoordinatorKeys } from './keys.adapter.js';
import { address, listenHost } from './listen.adapter.js';

export interface DoorsOptions {
  readonly config: Config;
  readonly keys: CoordinatorKeys;
  readonly enrolment: Omit<EnrolPorts, 'federationAddress'>;
  readonly federation: FederationPorts;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

export interface AgentDoors {
  readonly grpcAddress: string;
  readonly enrolAddress: string;
  /** That they listen on: a balancer may stand before them. */
  readonly ports: { readonly grpcPort: number; readonly enrolPort: number };
  /** Takes no more calls; what is in hand has `graceMs` to end. */
  close(graceMs: number): Promise<void>;
}

/** Opens the two ports that agents call. Throws PORT_IN_USE. */
export async function openAgentDoors({
  config,
  keys,
  enrolment,
  federation,
  clock,
  telemetry,
}: DoorsOptions): Promise<AgentDoors> {
  const certificate = await createServerCertificate(keys.ca, config.hosts, { atMs: clock.nowMs() });
  const tls = { key: certificate.privateKeyPem, certificate: certificate.certificatePem };
  const host = listenHost(config.hosts);
  const [name = host] = config.hosts;
  const opened: GrpcServer[] = [];
  try {
    const grpc = await startGrpcServer({
      host,
      port: config.grpcPort,
      portFlag: '--grpc-port',
      tls: { ...tls, clientCa: keys.ca.certificatePem },
      service: federationService,
      handlers: observedHandlers(federationService, federationHandlers(federation), telemetry),
      keepalive: {
        intervalMs: config.keepaliveMs,
        timeoutMs: Math.min(config.keepaliveMs, defaultKeepalive.timeoutMs),
      },
    });
    opened.push(grpc);
    const grpcAddress = config.publicGrpc ?? address(name, grpc.port);
    const enrol = await startGrpcServer({
      host,
      port: config.enrolPort,
      portFlag: '--enrol-port',
      tls,
      service: enrolmentService,
      handlers: observedHandlers(
        enrolmentService,
        enrolmentHandlers({ ...enrolment, clock, federationAddress: () => grpcAddress }),
        telemetry,
      ),
    });
    opened.push(enrol);
    return {
      grpcAddress,
      enrolAddress: config.publicEnrol ?? address(name, enrol.port),
      ports: { grpcPort: grpc.port, enrolPort: enrol.port },
      close: async (graceMs) => {
        await Promise.all(opened.map(async (server) => server.close(graceMs)));
      },
    };
  } catch (error) {
    await Promise.all(opened.map(async (server) => server.close(0)));
    throw error;
  }
}

/** Lets the admin API listen and answers its URL. Throws PORT_IN_USE. */
export async function openApiDoor(app: NestExpressApplication, { apiHost, apiPort }: Config): Promise<string> {
  try {
    await app.listen(apiPort, apiHost);
  } catch (error) {
    throw bindError(error as Error, { host: apiHost, port: apiPort, portFlag: '--api-port' });
  }
  const { port } = app.getHttpServer().address() as AddressInfo;
  return `http://${address(apiHost, port)}`;
}
