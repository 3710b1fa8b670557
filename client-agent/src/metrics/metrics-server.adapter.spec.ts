/** The page of metrics over real HTTP, and who may be let at it. */
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';

import { agentConfigSchema } from '../config/agent-config.js';
import { openMetrics } from './metrics-server.adapter.js';

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test('the page says what has happened so far, and is gone when the agent ends', async () => {
  const address = `127.0.0.1:${await freePort()}`;
  const metrics = await openMetrics(address);
  metrics.record({ event: 'connected', address: 'a:1', coordinator: '', skewMs: 0 });
  const answer = await fetch(`http://${address}/metrics`);
  expect(answer.headers.get('content-type')).toContain('text/plain');
  expect(await answer.text()).toContain('graft_agent_connected 1\n');
  expect((await fetch(`http://${address}/`)).status).toBe(404);
  await expect(openMetrics(address)).rejects.toMatchObject({ code: 'PORT_IN_USE' });
  await metrics.close();
  await expect(fetch(`http://${address}/metrics`)).rejects.toThrow('fetch failed');
});

test('an agent without an address opens no port', async () => {
  const metrics = await openMetrics(undefined);
  metrics.record({ event: 'resumed' });
  await expect(metrics.close()).resolves.toBeUndefined();
});

test.each([
  ['127.0.0.1:9464', undefined, true],
  ['localhost:9464', undefined, true],
  ['[::1]:9464', undefined, true],
  ['0.0.0.0:9464', undefined, false],
  ['127.0.0.1.example:9464', undefined, false],
  ['10.0.0.1:9464', true, true],
])('%s with beyondLoopback %s is allowed: %s', (address, beyondLoopback, isAllowed) => {
  const metrics = { address, ...(beyondLoopback !== undefined && { beyondLoopback }) };
  expect(agentConfigSchema.shape.metrics.safeParse(metrics).success).toBe(isAllowed);
});
