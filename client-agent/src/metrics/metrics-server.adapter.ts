/** The agent's local page of metrics. The site's own monitoring reads it; the coordinator never does. */
import { createServer } from 'node:http';
import { once } from 'node:events';

import { GraftError } from '@graft/core/error';

import type { DaemonEvent } from '../daemon/daemon-events.js';
import { counted, metricsPage, noMetrics } from './agent-metrics.js';

export interface MetricsServer {
  record(event: DaemonEvent): void;
  close(): Promise<void>;
}

/** Counts, and answers GET /metrics at `address`, host:port; without one it does nothing. Throws PORT_IN_USE. */
export async function openMetrics(address: string | undefined): Promise<MetricsServer> {
  if (address === undefined) return { record: () => undefined, close: async () => undefined };
  let metrics = noMetrics;
  const [, host = '', port] = /^\[?(.+?)\]?:(\d+)$/u.exec(address) ?? [];
  const server = createServer({ requestTimeout: 5_000, headersTimeout: 5_000 }, (request, response) => {
    const isMetrics = request.method === 'GET' && request.url === '/metrics';
    response.writeHead(isMetrics ? 200 : 404, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' });
    response.end(isMetrics ? metricsPage(metrics) : 'GET /metrics\n');
  });
  server.maxConnections = 16;
  try {
    server.listen(Number(port), host);
    await once(server, 'listening');
  } catch (error) {
    throw new GraftError('PORT_IN_USE', `metrics cannot be served at ${address}`, { cause: error });
  }
  // It waits for requests, and keeps no agent alive that has stopped.
  server.unref();
  return {
    record: (event) => {
      metrics = counted(metrics, event);
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
