/** Three coordinators on one database behind a balancer: one is killed, one is paused past its lease, all are restarted in turn. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { decodeSafetensors } from '@graft/models/formats/safetensors';

import { whyNoPostgres } from './postgres.adapter.js';
import { until } from './support/commands.js';
import type { Round, Run } from './support/federation.js';
import { leaseMs, openReplicas, type Replica, type Replicas } from './support/replicas.js';

interface Checkpoint {
  readonly round: number;
  readonly weightsHash: string;
}

const missing = await whyNoPostgres();
const sites = ['lund', 'oslo', 'turku', 'aarhus'];
/** A power of two: sums of it are exact in float32. */
const add = 0.25;
const task = { parameters: 50_000, add, cohort: { min: 2, goal: 4, max: 4 } };

if (missing === undefined) {
  describe('three coordinators on one database', () => {
    let replicas: Replicas;

    beforeAll(async () => {
      replicas = await openReplicas(3);
      for (const site of sites) await replicas.addAgent(site);
      await until('the agents', async () => {
        const agents = await replicas.call<{ connected: boolean }[]>('GET', '/agents');
        return agents.filter(({ connected }) => connected).length === sites.length ? true : undefined;
      });
    }, 180_000);

    afterAll(async () => replicas.close(), 60_000);

    /** Stops a run after some more rounds: every round was committed once, in order, and its weights are exact to the last bit. */
    async function checkRounds(runId: string, more = 3): Promise<void> {
      const { committedRounds } = await replicas.call<Run>('GET', `/runs/${runId}`);
      await replicas.untilCommitted(runId, committedRounds + more);
      await replicas.call('POST', `/runs/${runId}/stop`, { reason: 'enough' });
      const run = await replicas.call<Run>('GET', `/runs/${runId}`);
      expect(run.status).toBe('stopped');
      const numbers = Array.from({ length: run.committedRounds }, (_, i) => i + 1);
      const rounds = await replicas.call<Round[]>('GET', `/runs/${runId}/rounds`);
      const committed = rounds.filter(({ phase }) => phase === 'committed');
      expect(committed.map(({ round }) => round)).toEqual(numbers);
      for (const { record } of committed) expect(record.updates.accepted).toBeGreaterThanOrEqual(task.cohort.min);
      const checkpoints = await replicas.call<Checkpoint[]>('GET', `/runs/${runId}/checkpoints`);
      expect(checkpoints.map(({ round }) => round).filter((round) => round > 0)).toEqual(numbers);
      const [first] = checkpoints;
      const base = await weightsOf(first);
      for (const checkpoint of checkpoints.slice(1)) {
        const weights = await weightsOf(checkpoint);
        const expected = (checkpoint.round - (first?.round ?? 0)) * add;
        expect(weights.every((value, i) => value === (base[i] ?? NaN) + expected)).toBe(true);
      }
    }

    async function weightsOf(checkpoint: Checkpoint | undefined): Promise<Float32Array> {
      const hash = checkpoint?.weightsHash ?? '';
      const file = await readFile(join(replicas.directory, 'blobs', hash.slice(0, 2), hash));
      const [tensor] = decodeSafetensors(file).weights.values();
      if (!(tensor?.data instanceof Float32Array)) throw new Error(`checkpoint ${hash} holds no float32`);
      return tensor.data;
    }

    async function ownerOf(runId: string, not?: Replica): Promise<Replica> {
      return until('an owner of the run', async () => {
        const owner = await replicas.ownerOf(runId);
        return owner === not ? undefined : owner;
      });
    }

    /** A run that goes on until it is stopped, two rounds in. */
    async function begin(name: string): Promise<string> {
      const runId = await replicas.startProbe({ ...task, name, rounds: 10_000 });
      await replicas.untilCommitted(runId, 2);
      return runId;
    }

    it('runs rounds whose agents are spread over the replicas, shows the same at each, and is stopped at any', async () => {
      const runId = await begin('spread');
      const owner = await ownerOf(runId);
      for (const replica of replicas.replicas) {
        expect(await replicas.call<Run>('GET', `/runs/${runId}`, undefined, replica)).toMatchObject({
          status: 'running',
        });
        const agents = await replicas.call<{ connected: boolean }[]>('GET', '/agents', undefined, replica);
        expect(agents.filter(({ connected }) => connected)).toHaveLength(sites.length);
      }
      const other = replicas.replicas.find((replica) => replica !== owner);
      const stopped = await replicas.call<Run>('POST', `/runs/${runId}/stop`, { reason: 'enough' }, other);
      expect(stopped).toMatchObject({ status: 'stopped', reason: 'enough' });
    }, 90_000);

    it('goes on with every round when the owner is killed in the middle of training', async () => {
      const runId = await begin('killed');
      const owner = await ownerOf(runId);
      owner.running.process.kill('SIGKILL');
      await owner.running.exited;
      await ownerOf(runId, owner);
      await checkRounds(runId);
      await replicas.restart(owner);
    }, 150_000);

    it('writes and answers nothing wrong after the owner was paused past its lease', async () => {
      const runId = await begin('paused');
      const owner = await ownerOf(runId);
      owner.running.process.kill('SIGSTOP');
      try {
        await ownerOf(runId, owner);
        await new Promise((done) => setTimeout(done, leaseMs / 4));
      } finally {
        owner.running.process.kill('SIGCONT');
      }
      await checkRounds(runId);
      expect(owner.running.process.exitCode).toBeNull();
    }, 150_000);

    it('loses no round when all are restarted in turn', async () => {
      const runId = await begin('rolling');
      for (const replica of replicas.replicas) {
        replica.running.process.kill('SIGTERM');
        const exit = await replica.running.exited;
        expect(exit === 0 ? '' : replica.running.stderr().slice(-2_000)).toBe('');
        await replicas.restart(replica);
      }
      await checkRounds(runId);
    }, 150_000);
  });
} else {
  test(`three coordinators on one database are skipped: ${missing}`, () => {
    expect(process.env['GRAFT_REQUIRE_POSTGRES']).not.toBe('1');
  });
}
