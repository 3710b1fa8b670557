/** Pace steering with real processes: agents that no round needs leave, are expected back, and a run that starts meanwhile waits for them. */
import { programs, run, until } from './support/commands.js';
import { openFederation, type Federation } from './support/federation.js';

interface Agent {
  readonly name: string;
  readonly connected: boolean;
  readonly expectedAtMs?: number;
}

interface Waiting {
  readonly status: string;
  readonly waiting?: { readonly for: string };
}

describe('a federation whose idle agents may leave', () => {
  const longestAwayMs = 6_000;
  let federation: Federation;
  const agents = async (): Promise<Agent[]> => federation.call<Agent[]>('GET', '/agents');
  const bothAway = async (): Promise<Agent[] | undefined> => {
    const all = await agents();
    return all.length === 2 && all.every(({ connected, expectedAtMs }) => !connected && expectedAtMs !== undefined)
      ? all
      : undefined;
  };

  beforeAll(async () => {
    federation = await openFederation({ env: { GRAFT_LONGEST_AWAY_MS: String(longestAwayMs) } });
    await Promise.all([federation.addAgent('lund'), federation.addAgent('oslo')]);
  }, 120_000);

  afterAll(async () => federation.close());

  it('says when they are expected, waits for them where a run starts, and loses no update', async () => {
    await until('both to leave', bothAway, 60_000);
    const sites = ['site', 'list', '--api', federation.ready.apiUrl, '--key', federation.key];
    expect((await run(programs.graft, sites)).stdout).toMatch(/expected back at \d\d:\d\d UTC/u);
    const runId = await federation.startProbe({
      name: 'steered',
      parameters: 1000,
      add: 1,
      rounds: 3,
      cohort: { min: 2, goal: 2, max: 2 },
    });
    const waiting = await federation.call<Waiting>('GET', `/runs/${runId}`);
    expect(waiting.status).toBe('waiting');
    expect(waiting.waiting?.for).toMatch(
      /agents? that had nothing to do (is|are) expected back by \d\d:\d\d:\d\d UTC$/u,
    );
    await federation.untilCommitted(runId, 3);
    for (const round of [1, 2, 3]) {
      const { record } = await federation.round(runId, round);
      expect(record.updates).toMatchObject({ accepted: 2 });
    }
    await until('both to leave again', bothAway, 60_000);
  }, 120_000);
});
