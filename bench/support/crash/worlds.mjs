/**
 * The federations whose processes are killed. `kill(random)` ends one victim with SIGKILL and starts it again where nothing else does;
 * `dying` are the processes that can die at a call of their own: how to start each again.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { until } from '../federation.mjs';
import { treeOf } from '../processes.mjs';
import { isAway } from './away.mjs';
import { agentEnv, awayMs, openSingle, sites } from './single.mjs';

const anySite = (random) => Math.floor(random() * sites.length);

/** Rooms of test/support are TypeScript: they bring their own loader. */
async function support(name) {
  await import('../../../test/support/run-source.js');
  return import(`../../../test/${name}`);
}

async function coordinatorWorld({ at, work }) {
  const single = await openSingle({ work, ...(at !== 'random' && { counting: 'coordinator' }) });
  const { federation, calls } = single;
  const restart = async () => {
    await federation.coordinator.exited;
    await federation.startCoordinator();
  };
  const kill = async () => {
    federation.coordinator.kill('SIGKILL');
    await restart();
  };
  return { ...single, kill, dying: [{ calls: calls.coordinator, child: () => federation.coordinator, restart }] };
}

async function agentWorld({ at, work }) {
  const single = await openSingle({ work, ...(at !== 'random' && { counting: 'agent' }) });
  const { federation, calls, restartAgent } = single;
  const kill = async (random) => {
    const index = anySite(random);
    federation.agents[index].kill('SIGKILL');
    await restartAgent(index);
  };
  const dying = sites.map((site, index) => ({
    calls: calls[site],
    child: () => federation.agents[index],
    restart: () => restartAgent(index),
  }));
  return { ...single, kill, dying };
}

/** Its daemon starts a trainer again. */
async function trainerWorld({ work }) {
  const single = await openSingle({ work });
  const kill = async (random) => {
    const { pid } = single.federation.agents[anySite(random)];
    const trainer = await until('a trainer', () => treeOf([pid]).find(isTrainer));
    process.kill(trainer, 'SIGKILL');
  };
  return { ...single, kill };
}

function isTrainer(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('trainer.main.js');
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ESRCH') return false;
    throw error;
  }
}

/** A server beside the coordinator. */
async function serverWorld(server, env) {
  try {
    const single = await openSingle({ env });
    const close = async () => {
      await single.close();
      await server.stop();
    };
    const kill = async () => {
      await server.kill();
      await sleep(awayMs);
      await server.restart();
    };
    return { ...single, kill, close };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

async function postgresWorld() {
  const { startPostgres } = await support('postgres.adapter.ts');
  const server = await startPostgres();
  return serverWorld(server, { GRAFT_DB: await server.createDatabase() });
}

async function s3World() {
  const { startS3 } = await support('s3.adapter.ts');
  const server = await startS3();
  return serverWorld(server, {
    GRAFT_BLOBS: `s3://${await server.createBucket()}/hub`,
    GRAFT_BLOBS_ENDPOINT: server.endpoint,
    GRAFT_BLOBS_ACCESS_KEY: server.accessKeyId,
    GRAFT_BLOBS_SECRET_KEY: server.secretAccessKey,
  });
}

/** Three coordinators on one PostgreSQL behind a balancer; one of them dies, whichever it is. */
async function replicaWorld() {
  const { openReplicas } = await support('support/replicas.ts');
  const { replicas, directory, ...opened } = await openReplicas(3);
  const call = (method, path, body) =>
    opened.call(method, path, body).catch((error) => {
      if (isAway(error)) return undefined;
      throw error;
    });
  try {
    for (const site of sites) await opened.addAgent(site, agentEnv(site));
    await until('the agents', async () => (await call('GET', '/agents'))?.every(({ connected }) => connected));
  } catch (error) {
    await opened.close();
    throw error;
  }
  const key = readFileSync(join(directory, 'replica-0/admin.key'), 'utf8').trim();
  return {
    call,
    place: () => ({ apiUrl: replicas[0].ready.apiUrl, key }),
    close: opened.close,
    kill: async (random) => {
      const replica = replicas[Math.floor(random() * replicas.length)];
      replica.running.process.kill('SIGKILL');
      await replica.running.exited;
      await opened.restart(replica);
    },
  };
}

export const worlds = {
  coordinator: coordinatorWorld,
  agent: agentWorld,
  trainer: trainerWorld,
  postgres: postgresWorld,
  s3: s3World,
  replica: replicaWorld,
};
