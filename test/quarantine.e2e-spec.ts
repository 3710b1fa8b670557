/**
 * An agent that poisons every round, against a coordinator and three honest agents, all real processes: refused with a reason,
 * left out after so many rounds as the task says, seen by the operator everywhere, let back by the command, and of use again.
 */
import { jest } from '@jest/globals';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { decodeSafetensors } from '@graft/models/formats/safetensors';

import { programs, run, stop, until } from './support/commands.js';
import { openFederation, type Federation } from './support/federation.js';
import { connectHostile, enrolHostile, type HostileAgent } from './support/hostile-agent.js';

const parameters = 10_000;
const add = 0.001;
const honest = 3;
const refusals = 2;

jest.setTimeout(120_000);

let federation: Federation;
let mallory: HostileAgent;
let runId: string;

beforeAll(async () => {
  federation = await openFederation();
  const sites = Array.from({ length: honest }, async (_, index) => federation.addAgent(`site-${index + 1}`));
  const [identity] = await Promise.all([enrolHostile(await federation.invite('mallory')), ...sites]);
  mallory = connectHostile(identity);
  await federation.untilConnected(honest + 1);
});

afterAll(async () => {
  mallory?.close();
  await federation?.close();
});

async function graft(...args: string[]): Promise<string> {
  const { stdout, stderr } = await run(programs.graft, [...args, '--dir', federation.home]);
  return `${stdout}${stderr}`;
}

async function poisonUntilQuarantine(): Promise<number> {
  let round = 0;
  for (let times = 1; times <= refusals; times++) {
    const plan = await mallory.nextPlan();
    round = plan.round;
    const verdict = await mallory.answer(plan, parameters, { delta: (delta) => delta.fill(NaN, 7, 8) });
    expect(verdict).toMatchObject({ accepted: false, reason: 'not-finite' });
    const told =
      times < refusals ? /^element 7 of the update is NaN$/u : /in quarantine .* graft site release mallory$/u;
    expect(verdict.message).toMatch(told);
  }
  return round;
}

/** The newest weights that the coordinator has, each of which every committed round has moved by the constant. */
async function newestWeights(): Promise<Float32Array> {
  const blobs = join(federation.home, 'blobs');
  const names = (await readdir(blobs, { recursive: true })).filter((name) => /^[0-9a-f]{2}.[0-9a-f]{64}$/u.test(name));
  const sized = await Promise.all(
    names.map(async (name) => {
      const { size, mtimeMs } = await stat(join(blobs, name));
      return { path: join(blobs, name), size, mtimeMs };
    }),
  );
  const masters = sized.filter(({ size }) => size > 4 * parameters + 32 && size < 4 * parameters + 200);
  const newest = masters.sort((a, b) => b.mtimeMs - a.mtimeMs)[0];
  return decodeSafetensors(await readFile(newest?.path ?? '')).weights.get('probe')?.data as Float32Array;
}

describe('an agent that poisons every round', () => {
  it('is left out after as many rounds as the task says, and the honest rounds go on with exact weights', async () => {
    const cohort = { min: honest, goal: honest + 1, max: honest + 1 };
    const limits = { quarantine: { refusals, rounds: 5 } };
    runId = await federation.startProbe({ name: 'poisoned', parameters, add, rounds: 1000, cohort, limits });
    const last = await poisonUntilQuarantine();
    const { committedRounds } = await federation.untilCommitted(runId, last + 3);
    for (const round of [last + 2, last + 3]) {
      const { record } = await federation.round(runId, round);
      expect(record.agents).not.toHaveProperty(mallory.identity.agentId);
      expect(record.updates).toMatchObject({ accepted: honest, refused: 0 });
    }
    await federation.call('POST', `/runs/${runId}/stop`, { reason: 'seen enough' });
    const [weight = 0] = await newestWeights();
    const rounds = Math.round(weight / add);
    expect(rounds).toBeGreaterThanOrEqual(committedRounds);
    expect(Math.abs(weight - rounds * add)).toBeLessThan(1e-6 * rounds);
  });

  it('is shown with the reason, the end of it and the way back, in the commands and the metrics', async () => {
    const list = await graft('site', 'list');
    expect(list).toMatch(
      /mallory is in quarantine for poisoned until .* UTC: its updates were refused in 2 of its last/u,
    );
    expect(list).toContain('graft site release mallory --task poisoned');
    const headers = { authorization: `Bearer ${federation.key}` };
    const metrics = await (await fetch(`${federation.ready.apiUrl}/metrics`, { headers })).text();
    expect(metrics).toMatch(/^graft_quarantined_agents\{.*task="poisoned".*\} 1$/mu);
  });

  it('keeps a run of the task waiting that has too few without it, and is of use again once it is let back', async () => {
    const [site] = federation.agents;
    if (site !== undefined) await stop(site);
    mallory.close();
    mallory = connectHostile(mallory.identity);
    const { taskId } = await federation.call<{ taskId: string }>('GET', `/runs/${runId}`);
    runId = (await federation.call<{ id: string }>('POST', '/runs', { taskId, seed: 2 })).id;
    const waiting = await until('the run to wait for more agents', async () => {
      const shown = await graft('run', 'show', runId);
      return /1 in quarantine: mallory/u.test(shown) ? shown : undefined;
    });
    expect(waiting).toMatch(/mallory \(until .*Z: its updates were refused in 2 of its last 2 rounds/u);
    expect(waiting).toContain('graft site release mallory');
    expect(await graft('site', 'release', 'mallory')).toContain('mallory may take part again');
    for (const round of [1, 2, 3]) {
      const plan = await mallory.nextPlan();
      expect(await mallory.answer(plan, parameters)).toMatchObject({ accepted: true });
      await federation.untilCommitted(runId, round);
    }
    expect((await federation.round(runId, 3)).record.updates).toMatchObject({ accepted: honest, refused: 0 });
    expect(await graft('site', 'list')).not.toContain('quarantine');
    expect(await graft('site', 'release', 'mallory')).toContain("agent 'mallory' is not in quarantine");
  });
});
