import type { UpdateManifest } from '@graft/protos/messages';

import { checkManifest, checkOpened, type Expected } from './admission.js';
import { newRun, step } from './machine/machine.js';
import { checkNorm, normLimit } from './machine/norm.js';
import { checkpoint, planOf, updateOf } from './machine/scenario.contract.js';
import type { RunState } from './machine/state.js';

const state = newRun(planOf(), checkpoint(0), { atMs: 0 });
const layoutHash = 'c'.repeat(64);
const expected: Expected = { taskId: 'task', agentId: 'a', layoutHash, parameterCount: 10, ciphertextBytes: 56 };
const manifest: UpdateManifest = {
  taskId: 'task',
  runId: 'run',
  round: 1,
  agentId: 'a',
  baseHash: state.base.fp16.hash,
  layoutHash,
  exampleCount: 80,
  ciphertext: { hash: 'd'.repeat(64), sizeBytes: 56 },
  boxedKey: new Uint8Array(48),
  boxedKeyNonce: new Uint8Array(24),
  ephemeralKey: new Uint8Array(32),
  parameterCount: 10,
  sessionNonce: new Uint8Array(16),
  training: null,
};

/** A run of one round whose cohort was accepted with these norms, still open. */
function withNorms(norms: readonly number[], goal = norms.length + 1): RunState {
  const ids = norms.map((_, i) => `agent-${i}`);
  const cohort = { min: 1, goal, max: norms.length + 1 };
  const first = newRun(planOf({ kind: 'probe', cohort }), checkpoint(0), { atMs: 0 });
  let { state: run } = step(first, { kind: 'started', connected: [...ids, 'late'].slice(0, cohort.max), atMs: 0 });
  for (const [i, norm] of norms.entries()) {
    const agentId = `agent-${i}`;
    run = step(run, {
      kind: 'updateReceived',
      agentId,
      round: 1,
      update: { ...updateOf(agentId), norm },
      atMs: 1,
    }).state;
  }
  return run;
}

describe('admission of an update before it is opened', () => {
  it('passes what the round asked for', () => {
    expect(checkManifest(manifest, expected, state)).toBeUndefined();
  });

  it.each<[string, Partial<UpdateManifest>, string, string]>([
    ['of another task', { taskId: 'other' }, 'unknown-round', "of task 'other'"],
    ['from another base', { baseHash: 'e'.repeat(64) }, 'stale-base', 'starts from eeeeeeeeeeee'],
    ['from no base', { baseHash: '' }, 'stale-base', 'starts from nothing'],
    ['of another layout', { layoutHash: 'f'.repeat(64) }, 'bad-layout', 'layout is ffffffffffff'],
    ['of another size', { parameterCount: 11 }, 'size', '11 parameters, the task has 10'],
    ['without a ciphertext', { ciphertext: null }, 'size', 'names no ciphertext'],
    ['that is too long', { ciphertext: { hash: '', sizeBytes: 3e9 } }, 'size', '3000000000 bytes, expected 56'],
    [
      'of a billion examples',
      { exampleCount: 1e9 },
      'example-count',
      'claims 1000000000 examples, the task allows 1 to 1000',
    ],
    ['of no examples', { exampleCount: 0 }, 'example-count', 'claims 0 examples'],
    ['of half an example', { exampleCount: 0.5 }, 'example-count', 'claims 0.5 examples'],
    ['of NaN examples', { exampleCount: Number.NaN }, 'example-count', 'claims NaN examples'],
  ])('refuses one %s', (_, change, reason, text) => {
    const refusal = checkManifest({ ...manifest, ...change }, expected, state);
    expect(refusal?.reason).toBe(reason);
    expect(refusal?.message).toContain(text);
  });
});

describe('admission of an update that was opened', () => {
  it('refuses an envelope that does not open and values that are not finite', () => {
    expect(checkOpened({ kind: 'bad-envelope', message: 'chunk 3 does not verify' }, state)).toEqual({
      reason: 'bad-envelope',
      message: 'chunk 3 does not verify',
    });
    expect(checkOpened({ kind: 'not-finite', index: 7, value: 'NaN' }, state)?.message).toBe(
      'element 7 of the update is NaN',
    );
  });

  it('holds a norm against the median once three are accepted', () => {
    expect(checkNorm(100, normLimit(withNorms([1, 1])))).toBeUndefined();
    const against = normLimit(withNorms([1, 2, 1]));
    expect(checkNorm(10, against)).toBeUndefined();
    expect(checkNorm(10.5, against)?.message).toBe(
      'the norm of the update is 10.50, the limit is 10.00: 10 times the median 1.000 of 3 updates of this round',
    );
  });

  it('holds a norm against an earlier round while this one has few', () => {
    const early = { ...withNorms([1]), largestMedianNorm: 2 };
    expect(checkNorm(20, normLimit(early))).toBeUndefined();
    expect(checkNorm(21, normLimit(early))?.message).toContain('of an earlier round');
  });

  it('lets a site go on learning where the others have converged', () => {
    const converged = { ...withNorms([3e-7, 3e-7, 4e-7]), largestMedianNorm: 0.5 };
    expect(checkNorm(1, normLimit(converged))).toBeUndefined();
    expect(checkNorm(5.1, normLimit(converged))?.message).toContain('10 times the median 0.5000 of an earlier round');
  });

  it('has nothing to say where all updates are zero', () => {
    expect(normLimit(withNorms([0, 0, 0]))).toBeUndefined();
  });
});

describe('the close of a round', () => {
  it('refuses an update 100 times the others even when it came first', () => {
    const closed = withNorms([100, 1, 1, 1], 4);
    expect(closed.phase).toBe('aggregating');
    expect(closed.members['agent-0']).toMatchObject({ state: 'refused', reason: 'norm' });
    expect(closed.refusals).toEqual({ 'agent-0': { norm: 1 } });
  });

  it('folds the same updates in whichever order they come', () => {
    const refused = [
      [100, 1, 1, 1],
      [1, 100, 1, 1],
      [1, 1, 1, 100],
    ].map((norms) =>
      Object.values(withNorms(norms, 4).members)
        .map(({ state: is, update }) => `${is} ${update?.norm}`)
        .sort((one, other) => one.localeCompare(other)),
    );
    expect(refused[1]).toEqual(refused[0]);
    // The last one is refused on arrival, so the goal is not reached and the fifth agent is still awaited.
    expect(refused[2]?.filter((line) => line.startsWith('accepted'))).toHaveLength(3);
  });
});
