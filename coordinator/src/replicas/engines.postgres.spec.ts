/** Several engines on one real PostgreSQL, where there is one: reports come in anywhere, folds are shared, a paused owner is replaced. */
import { startPostgres, whyNoPostgres, type TemporaryPostgres } from '../../../test/postgres.adapter.js';
import { openEngines, type EngineReplica, type Engines } from './engines.contract.js';

const missing = await whyNoPostgres();
const agents = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
const shape = { alone: 2, group: 2, fanIn: 2 };

if (missing === undefined) {
  describe('engines on one database', () => {
    let server: TemporaryPostgres;
    let engines: Engines;

    async function open(count: number): Promise<Engines> {
      const opened = await openEngines({ url: await server.createDatabase(), count, agents, shape });
      for (const [i, agent] of agents.entries()) await opened.connect(agent, i % count);
      return opened;
    }

    function replica(of: Engines, i: number): EngineReplica {
      const one = of.replicas[i];
      if (one === undefined) throw new Error(`there is no replica ${i}`);
      return one;
    }
    const first = (): EngineReplica => replica(engines, 0);
    const second = (): EngineReplica => replica(engines, 1);
    const isOver = async (of: Engines, runId: string): Promise<boolean> =>
      (await of.state(runId)).status === 'completed';

    beforeAll(async () => {
      server = await startPostgres();
      engines = await open(3);
    }, 120_000);

    afterAll(async () => {
      await engines.close();
      await server.stop();
    }, 60_000);

    it('take reports for a run that another owns, share its folds, and come to the bits of one alone', async () => {
      const runId = await first().rounds.start('probe', { seed: 1 });
      await engines.until('the run', () => isOver(engines, runId));
      const state = await engines.state(runId);
      expect([state.committedRounds, state.aggregation?.updateCount]).toEqual([3, agents.length]);
      const answered = await engines.db.selectFrom('inbox').select('verdict').where('run_id', '=', runId).execute();
      expect(answered.length).toBeGreaterThan(0);
      for (const { verdict } of answered) expect(verdict).toEqual({ accepted: true, reason: '', message: '' });
      // Four groups of a round and the three joins above them, three rounds.
      expect(engines.replicas.reduce((sum, replica) => sum + replica.sums(), 0)).toBe(3 * 7);
      expect(await engines.db.selectFrom('fold_jobs').selectAll().execute()).toEqual([]);

      const alone = await open(1);
      try {
        const other = await replica(alone, 0).rounds.start('probe', { seed: 1 });
        await alone.until('the run', () => isOver(alone, other));
        expect((await alone.state(other)).base.weights).toEqual(state.base.weights);
        expect(replica(alone, 0).sums()).toBe(0);
      } finally {
        await alone.close();
      }
    }, 120_000);

    it('replace an owner that stands still; what it says when it wakes is what the new owner says', async () => {
      const runId = await first().rounds.start('probe', { seed: 1, rounds: 10_000 });
      await engines.until('two rounds', async () => (await engines.state(runId)).committedRounds >= 2);
      const paused = await engines.ownerOf(runId);
      if (paused === undefined) throw new Error('nobody owns the run');
      paused.pause();
      const fence = await fenceOf(runId);
      await engines.until('another owner', async () => (await fenceOf(runId)) > fence);
      // It does not know yet that it has lost the run, and answers from what is stored all the same.
      await engines.until('an answer', async () => {
        const { accepted } = await engines.repeat('a', paused).catch(() => ({ accepted: false }));
        return accepted;
      });
      paused.wake();
      const { committedRounds } = await engines.state(runId);
      await engines.until('more rounds', async () => (await engines.state(runId)).committedRounds > committedRounds);
      const checkpoints = await engines.db
        .selectFrom('checkpoints')
        .select('round')
        .where('run_id', '=', runId)
        .execute();
      expect(new Set(checkpoints.map(({ round }) => round)).size).toBe(checkpoints.length);
      await paused.rounds.stop(runId, 'enough');
      expect(await engines.state(runId)).toMatchObject({ status: 'stopped', reason: 'enough' });
    }, 120_000);

    it('share the runs, and give them to the others before they stop', async () => {
      const runIds: string[] = [];
      for (let i = 0; i < 3; i++) runIds.push(await second().rounds.start('probe', { seed: i, rounds: 10_000 }));
      const owners = async () => Promise.all(runIds.map((runId) => engines.ownerOf(runId)));
      await engines.until('a run for each', async () => new Set(await owners()).size === 3);
      await second().handOver();
      await engines.until('the others', async () =>
        (await owners()).every((one) => one !== undefined && one !== second()),
      );
      const before = await Promise.all(runIds.map(async (runId) => (await engines.state(runId)).committedRounds));
      await engines.until('a round of each', async () => {
        const now = await Promise.all(runIds.map(async (runId) => (await engines.state(runId)).committedRounds));
        return now.every((rounds, i) => rounds > (before[i] ?? 0));
      });
      for (const runId of runIds) {
        await first().rounds.stop(runId, 'enough');
        expect((await engines.state(runId)).status).toBe('stopped');
      }
    }, 120_000);

    async function fenceOf(runId: string): Promise<number> {
      const row = engines.db.selectFrom('runs').select('fence').where('id', '=', runId);
      return (await row.executeTakeFirstOrThrow()).fence;
    }
  });
} else {
  test(`engines on PostgreSQL are skipped: ${missing}`, () => {
    expect(process.env['GRAFT_REQUIRE_POSTGRES']).not.toBe('1');
  });
}
