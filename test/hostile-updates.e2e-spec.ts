/**
 * Bad updates against a coordinator and three honest agents, all real processes: each is answered with a reason and a message,
 * and its round is committed by the others with the right weights.
 */
import { jest } from '@jest/globals';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { limits } from '@graft/core/limits';
import { decodeSafetensors } from '@graft/models/formats/safetensors';
import type { Verdict } from '@graft/protos/messages';

import { until } from './support/commands.js';
import { openFederation, type Federation, type Round } from './support/federation.js';
import {
  connectHostile,
  enrolHostile,
  probeLayoutHash,
  type Faults,
  type HostileAgent,
  type Sealed,
  type TrainPlan,
} from './support/hostile-agent.js';

/** Two sealed chunks. */
const parameters = 300_000;
const add = 0.001;
const honest = 3;

jest.setTimeout(60_000);

let federation: Federation;
let hostile: HostileAgent;
let runId: string;
/** The one update of the hostile agent that is as it should be, from round 1. */
let yesterday: Sealed & { readonly plan: TrainPlan };

beforeAll(async () => {
  federation = await openFederation();
  const sites = Array.from({ length: honest }, async (_, index) => federation.addAgent(`site-${index + 1}`));
  const [identity] = await Promise.all([enrolHostile(await federation.invite('mallory')), ...sites]);
  hostile = connectHostile(identity);
  await federation.untilConnected(honest + 1);
  const cohort = { min: honest, goal: honest + 1, max: honest + 1 };
  runId = await federation.startProbe({
    name: 'rehearsal',
    parameters,
    add,
    rounds: 100,
    cohort,
    // It is to be asked in every round, whatever it did in the one before.
    limits: { maxExamples: 1000, quarantine: { refusals: 0 } },
  });
});

afterAll(async () => {
  hostile?.close();
  await federation?.close();
});

/** The newest float32 checkpoint in the coordinator's blob directory. */
async function newestCheckpoint(): Promise<Float32Array> {
  const blobs = join(federation.home, 'blobs');
  const names = (await readdir(blobs, { recursive: true })).filter((name) => /^[0-9a-f]{2}.[0-9a-f]{64}$/.test(name));
  const files = await Promise.all(
    names.map(async (name) => ({ path: join(blobs, name), ...(await size(join(blobs, name))) })),
  );
  const newest = files.filter(({ isCheckpoint }) => isCheckpoint).sort((a, b) => b.atMs - a.atMs)[0];
  const probe = decodeSafetensors(await readFile(newest?.path ?? '')).weights.get('probe');
  return probe?.data as Float32Array;
}

async function ownState({ round }: TrainPlan): Promise<string | undefined> {
  return (await federation.round(runId, round)).record.agents[hostile.identity.agentId]?.state;
}

/** A checkpoint is a safetensors file: four bytes a parameter and a header of under 200. */
async function size(path: string): Promise<{ isCheckpoint: boolean; atMs: number }> {
  const { size: bytes, mtimeMs } = await stat(path);
  const header = bytes - 4 * parameters;
  const isSafetensors = header > 8 && header < 200 && (await readFile(path)).subarray(8, 9).toString() === '{';
  return { isCheckpoint: isSafetensors, atMs: mtimeMs };
}

/** The round is committed without the hostile agent, and the checkpoint has moved by the constant once a round. */
async function committedByOthers(round: number, reason: string): Promise<Round> {
  await federation.untilCommitted(runId, round);
  const committed = await federation.round(runId, round);
  const { agents, updates, refusals } = committed.record;
  expect(agents[hostile.identity.agentId]).toMatchObject({ state: 'refused', reason });
  expect(updates).toMatchObject({ accepted: honest, refused: 1 });
  expect(refusals[reason]).toBeGreaterThanOrEqual(1);
  await expectCheckpoint(round);
  return committed;
}

async function expectCheckpoint(round: number): Promise<void> {
  const checkpoint = await newestCheckpoint();
  expect(checkpoint).toHaveLength(parameters);
  const expected = round * add;
  const worst = checkpoint.reduce((most, value) => Math.max(most, Math.abs(value - expected)), 0);
  expect(worst).toBeLessThan(1e-6 * round);
}

function refused({ accepted, reason, message }: Verdict): { reason: string; message: string } {
  expect(accepted).toBe(false);
  return { reason, message };
}

interface Attack {
  readonly faults: (plan: TrainPlan) => Faults;
  readonly reason: string;
  readonly message: RegExp;
}

const other = 'f'.repeat(64);

const attacks: [string, Attack][] = [
  [
    'trained from another base',
    {
      faults: () => ({ manifest: { baseHash: other } }),
      reason: 'stale-base',
      message: /starts from ffffffffffff, round \d+ from [0-9a-f]{12}/,
    },
  ],
  [
    'in another layout',
    {
      faults: () => ({ manifest: { layoutHash: probeLayoutHash(parameters + 1) } }),
      reason: 'bad-layout',
      message: /the layout is [0-9a-f]{12}, the task's is [0-9a-f]{12}/,
    },
  ],
  [
    'with a NaN in it',
    {
      faults: () => ({ delta: (delta) => delta.fill(NaN, 290_000, 290_001) }),
      reason: 'not-finite',
      message: /^element 290000 of the update is NaN$/,
    },
  ],
  [
    'a hundred times the median',
    {
      faults: () => ({ delta: (delta) => delta.fill(100 * add) }),
      reason: 'norm',
      message: /the norm of the update is 54\.77, the limit is 5\.477: 10 times the median 0\.5477/,
    },
  ],
  [
    'that claims a thousand million examples',
    {
      faults: () => ({ manifest: { exampleCount: 1e9 } }),
      reason: 'example-count',
      message: /claims 1000000000 examples, the task allows 1 to 1000/,
    },
  ],
  [
    'without its last chunk',
    {
      faults: () => ({ chunks: ([first]) => (first === undefined ? [] : [first]) }),
      reason: 'size',
      message: /the sealed update has 1048576 bytes, expected 1200032/,
    },
  ],
  [
    'with a chunk of another envelope',
    {
      faults: (plan) => {
        const { ciphertext } = hostile.seal(plan, parameters);
        return { chunks: ([, last]) => [ciphertext.subarray(0, limits.chunkBytes), last ?? ciphertext] };
      },
      reason: 'bad-envelope',
      message: /does not verify at chunk 0 of 2/,
    },
  ],
  [
    'with one flipped bit',
    {
      faults: () => ({
        chunks: (chunks) => {
          const last = chunks.at(-1) as Uint8Array;
          last[100] = (last[100] ?? 0) ^ 1;
          return chunks;
        },
      }),
      reason: 'bad-envelope',
      message: /does not verify at chunk 1 of 2/,
    },
  ],
  [
    'under the name of another agent',
    {
      faults: () => ({ manifest: { agentId: 'somebody-else' } }),
      reason: 'bad-signature',
      message: /the manifest names agent somebody-else, the connection /,
    },
  ],
  [
    'of another task',
    {
      faults: () => ({ manifest: { taskId: 'another' } }),
      reason: 'unknown-round',
      message: /is of task 'another', the run is of /,
    },
  ],
];

describe('an update', () => {
  it('that is as it should be is accepted and folded', async () => {
    const plan = await hostile.nextPlan();
    yesterday = { ...hostile.seal(plan, parameters), plan };
    await hostile.upload(yesterday);
    expect(await hostile.report(yesterday)).toMatchObject({ accepted: true });
    await federation.untilCommitted(runId, plan.round);
    expect((await federation.round(runId, plan.round)).record.updates).toMatchObject({ accepted: honest + 1 });
    await expectCheckpoint(plan.round);
  });

  it('of yesterday, sent again in a later round, gets the answer of yesterday and counts for nothing', async () => {
    const plan = await hostile.nextPlan();
    expect(await hostile.report(yesterday)).toMatchObject({ accepted: true });
    expect(await ownState(plan)).not.toBe('accepted');
    const message = `round ${yesterday.plan.round} is closed, the run is at round ${plan.round}`;
    const fresh = hostile.seal(yesterday.plan, parameters);
    expect(refused(await hostile.report(fresh))).toEqual({ reason: 'late', message });
    expect(await ownState(plan)).not.toBe('refused');
    await hostile.upload(yesterday);
    const relabelled = hostile.relabel(yesterday, { round: plan.round, baseHash: plan.base?.hash ?? '' });
    const verdict = refused(await hostile.report(relabelled));
    expect(verdict).toEqual({
      reason: 'bad-envelope',
      message: expect.stringMatching(/is not sealed to the key of this round/),
    });
    await committedByOthers(plan.round, 'bad-envelope');
  });

  it.each(attacks)('%s is refused, and the round goes on', async (_, attack) => {
    const plan = await hostile.nextPlan();
    const verdict = refused(await hostile.answer(plan, parameters, attack.faults(plan)));
    expect(verdict).toEqual({ reason: attack.reason, message: expect.stringMatching(attack.message) });
    const record = await committedByOthers(plan.round, attack.reason);
    expect(record.record.agents[hostile.identity.agentId]?.message).toMatch(attack.message);
  });

  it('that is refused cannot be replaced by another in its round', async () => {
    const before = await hostile.nextPlan();
    await until('the honest agents', async () => {
      const { updates } = (await federation.round(runId, before.round)).record;
      return updates.accepted === honest ? true : undefined;
    });
    // Frozen, they keep the next round open.
    for (const { process: agent } of federation.agents) agent.kill('SIGSTOP');
    try {
      await hostile.answer(before, parameters);
      const plan = await hostile.nextPlan();
      const bad = hostile.seal(plan, parameters, { manifest: { exampleCount: 0 } });
      const verdict = refused(await hostile.report(bad));
      expect(verdict).toEqual({
        reason: 'example-count',
        message: 'the update claims 0 examples, the task allows 1 to 1000',
      });
      expect(refused(await hostile.report(bad))).toEqual(verdict);
      expect(refused(await hostile.report(hostile.seal(plan, parameters)))).toEqual({
        reason: 'duplicate',
        message: `agent ${hostile.identity.agentId} has an update in round ${plan.round} already: refused`,
      });
      for (const { process: agent } of federation.agents) agent.kill('SIGCONT');
      const { record } = await committedByOthers(plan.round, 'example-count');
      expect(record.refusals).toEqual({ 'example-count': 1, duplicate: 1 });
    } finally {
      for (const { process: agent } of federation.agents) agent.kill('SIGCONT');
    }
  });

  it('that is not uploaded whole is asked for again, and accepted once it is', async () => {
    const plan = await hostile.nextPlan();
    const sealed = hostile.seal(plan, parameters);
    expect(refused(await hostile.report(sealed))).toEqual({
      reason: 'incomplete',
      message: expect.stringMatching(/is not uploaded whole/),
    });
    const cut = { ...sealed, ciphertext: sealed.ciphertext.subarray(0, limits.chunkBytes) };
    await expect(hostile.upload(cut)).rejects.toMatchObject({
      details: expect.stringMatching(/1 of 2 chunks; they are kept/),
    });
    expect(refused(await hostile.report(sealed)).reason).toBe('incomplete');
    await hostile.upload(sealed);
    expect(await hostile.report(sealed)).toMatchObject({ accepted: true });
    await federation.untilCommitted(runId, plan.round);
    await expectCheckpoint(plan.round);
  });

  it('for a run or a round that nobody knows is refused and disturbs no round', async () => {
    const plan = await hostile.nextPlan();
    const future = hostile.seal(plan, parameters, { relabel: () => ({ round: plan.round + 5 }) });
    expect(refused(await hostile.report(future))).toEqual({
      reason: 'unknown-round',
      message: `round ${plan.round + 5} has not begun, the run is at round ${plan.round}`,
    });
    const strange = hostile.seal(plan, parameters, { relabel: () => ({ runId: 'no-such-run' }) });
    expect(refused(await hostile.report(strange))).toEqual({
      reason: 'unknown-round',
      message: 'no run no-such-run is known here',
    });
    expect(await ownState(plan)).not.toBe('refused');
    const forged = hostile.seal(plan, parameters);
    const signature = forged.signature.map((byte) => byte ^ 1);
    expect(refused(await hostile.report({ manifest: forged.manifest, signature }))).toEqual({
      reason: 'bad-signature',
      message: 'the manifest is not signed by the key that this agent enrolled',
    });
    await committedByOthers(plan.round, 'bad-signature');
  });

  it.each([
    [
      'bytes that are no manifest',
      new Uint8Array(1000).fill(0xff),
      'bad-envelope',
      /1000 signed bytes are not a manifest/,
    ],
    [
      'a manifest past every limit',
      new Uint8Array(600_000),
      'size',
      /the manifest has 600000 bytes, the limit is 524288/,
    ],
  ])('that comes with %s is refused', async (_, manifest, reason, message) => {
    const plan = await hostile.nextPlan();
    const verdict = refused(await hostile.report({ manifest, signature: hostile.sign(manifest) }));
    expect(verdict).toEqual({ reason, message: expect.stringMatching(message) });
    await committedByOthers(plan.round, reason);
  });
});
