import { jest } from '@jest/globals';
import { verifyRelease } from '@graft/protos/identity/signatures.adapter';
import { decodeSafetensors } from '@graft/models/formats/safetensors';

import { coordinatorIdentity } from '../compute/sealing.contract.js';
import { constant, federation, whenOver, type AgentBehaviour, type Federation } from './federation.contract.js';
import { memoryEngineStore } from './memory-engine-store.contract.js';

// Keys and signatures are real, and slow on a busy machine; nothing here is about time.
jest.setTimeout(60_000);

const agents = { a: { delta: constant(1) }, b: { delta: constant(2) }, c: { delta: constant(3) } };
const open: Federation[] = [];

async function begin(behaviours: Readonly<Record<string, AgentBehaviour>>): Promise<Federation> {
  const started = await federation(behaviours, { open: memoryEngineStore });
  open.push(started);
  return started;
}

async function connectAll(it: Federation, ids: readonly string[] = ['a', 'b', 'c']): Promise<void> {
  for (const id of ids) await it.connect(id);
}

afterEach(async () => {
  for (const it of open.splice(0)) await it.close();
});

describe('the engine', () => {
  it('runs a probe task through all its rounds with agents that seal their updates', async () => {
    const it = await begin(agents);
    await connectAll(it);
    const runId = await it.rounds.start('probe', { seed: 1 });
    const state = await whenOver(it, runId);
    expect([state.status, state.committedRounds]).toEqual(['completed', 3]);
    expect(it.store.rows.checkpoints.map(({ round }) => round)).toEqual([1, 2, 3]);
    expect(it.store.rows.releases).toEqual([]);
    const { weights } = decodeSafetensors(it.blobs.read(state.base.weights.hash));
    // Mean delta 2 in round 1, 4 in round 2, 6 in round 3.
    expect(weights.get('w')?.data[7]).toBe(12);
    expect(it.store.rows.records.get(`${runId}/1`)).toMatchObject({
      phase: 'committed',
      updates: { accepted: 3, refused: 0 },
      quantization: { none: 'probe task: nothing to quantize' },
      aggregation: { updateCount: 3, exampleCount: 30 },
    });
    expect(await it.store.unsettled('a')).toEqual([]);
  });

  it('quantizes, evaluates, releases and has every round of a fit task installed', async () => {
    const it = await begin(agents);
    await connectAll(it);
    const runId = await it.rounds.start('fit', { seed: 1, rounds: 2 });
    const state = await whenOver(it, runId);
    expect([state.status, state.reason]).toEqual(['completed', '']);
    expect(it.store.rows.releases.map(({ id, precision }) => [id, precision])).toEqual([
      [`${runId}-r1`, 'int8'],
      [`${runId}-r2`, 'int8'],
    ]);
    const release = it.store.rows.releases[1];
    if (release === undefined) throw new Error('no release');
    expect(verifyRelease(coordinatorIdentity.publicKey, release.manifest, release.signature)).toBe(true);
    const manifest = JSON.parse(new TextDecoder().decode(release.manifest)) as Record<string, unknown>;
    expect(manifest).toMatchObject({ taskId: 'fit', runId, round: 2, precision: 'int8', labels: ['zero', 'one'] });
    expect(it.store.rows.records.get(`${runId}/2`)?.gate).toMatchObject({ passed: true, fp32: { accuracy: 0.9 } });
    const kinds = it.store.rows.instructions.filter(({ agentId }) => agentId === 'a').map(({ kind }) => kind);
    expect(kinds).toEqual(['train', 'evaluate', 'install', 'train', 'evaluate', 'install']);
  });

  it('waits for agents, and starts once they are there', async () => {
    const it = await begin(agents);
    await it.connect('a');
    const runId = await it.rounds.start('probe', { seed: 1, rounds: 1 });
    expect((await it.store.stored(runId)).machine).toMatchObject({
      status: 'waiting',
      reason: 'round 1 needs 2 agents; 1 is connected: a; it goes on when another one connects',
    });
    await it.connect('b');
    expect((await whenOver(it, runId)).status).toBe('completed');
  });

  it('closes the round without the agents that are silent, fail or are lost', async () => {
    const it = await begin({ a: agents.a, b: agents.b, c: { delta: constant(1), silent: true } });
    await connectAll(it);
    const runId = await it.rounds.start('probe', { seed: 1, rounds: 1 });
    await it.disconnect('c');
    await whenOver(it, runId);
    expect(it.store.rows.records.get(`${runId}/1`)?.agents).toMatchObject({
      a: { state: 'accepted' },
      b: { state: 'accepted' },
      c: { state: 'lost' },
    });
  });

  it('refuses what is not finite, too large or claims too much, says why, and goes on with the others', async () => {
    const hostile = {
      a: { delta: constant(1) },
      b: { delta: constant(1) },
      c: { delta: () => new Float32Array(1000).fill(Number.NaN) },
    };
    const it = await begin(hostile);
    await connectAll(it);
    const runId = await it.rounds.start('probe', { seed: 1, rounds: 1 });
    const state = await whenOver(it, runId);
    expect(state.status).toBe('completed');
    expect(it.verdicts.c).toEqual([
      { accepted: false, reason: 'not-finite', message: 'element 0 of the update is NaN' },
    ]);
    expect(it.store.rows.records.get(`${runId}/1`)?.refusals).toEqual({ 'not-finite': 1 });
    const { weights } = decodeSafetensors(it.blobs.read(state.base.weights.hash));
    expect(weights.get('w')?.data[0]).toBe(1);
  });

  it('gives a refused update that is reported again the reason and the message of before', async () => {
    const bad = { delta: () => new Float32Array(1000).fill(Number.NaN) };
    const it = await begin({ a: agents.a, b: { ...agents.b, silent: true }, c: bad });
    await connectAll(it);
    const runId = await it.rounds.start('probe', { seed: 1 });
    await whenOver(it, runId, ({ members }) => members.c?.state === 'refused');
    expect(await it.repeat('c')).toEqual({
      accepted: false,
      reason: 'not-finite',
      message: 'element 0 of the update is NaN',
    });
    await it.rounds.stop(runId, 'enough');
  });

  it('answers a repeated report as before, in its round and after it, and a stranger with the reason', async () => {
    const it = await begin({
      ...agents,
      b: { delta: constant(2), silent: true },
      c: { delta: constant(2), silent: true },
    });
    await connectAll(it);
    const runId = await it.rounds.start('probe', { seed: 1 });
    await whenOver(it, runId, ({ members }) => members.a?.state === 'accepted');
    expect(await it.repeat('a')).toEqual({ accepted: true, reason: '', message: '' });
    const forged = await it.rounds.reportUpdate('a', new Uint8Array(10), new Uint8Array(64));
    expect(forged.reason).toBe('bad-signature');
    expect(await it.rounds.reportUpdate('nobody', new Uint8Array(10), new Uint8Array(64))).toMatchObject({
      accepted: false,
    });
    await it.rounds.stop(runId, 'enough');
    expect(await it.repeat('a')).toEqual({ accepted: true, reason: '', message: '' });
    expect((await it.store.stored(runId)).machine).toMatchObject({ status: 'stopped', reason: 'enough' });
    const failure = { instructionId: 'x', runId, round: 1, code: 'X', message: '' };
    expect((await it.rounds.reportFailure('a', failure)).reason).toBe('late');
    expect((await it.rounds.reportFailure('a', { ...failure, runId: 'other' })).reason).toBe('unknown-round');
  });

  it('fails a run whose agents cannot train, with their reasons in the record', async () => {
    const fails = { delta: constant(1), fails: true };
    const it = await begin({ a: fails, b: fails, c: fails });
    await connectAll(it);
    const runId = await it.rounds.start('probe', { seed: 1 });
    const state = await whenOver(it, runId);
    expect(state.status).toBe('failed');
    expect(state.reason).toContain('round 1 was abandoned 3 times');
    expect(it.store.rows.records.get(`${runId}/1`)?.agents.a).toMatchObject({
      state: 'failed',
      reason: 'DATA_NOT_FOUND',
      message: 'no such folder',
    });
  });

  it('refuses a task that does not exist', async () => {
    await expect((await begin(agents)).rounds.start('nothing', { seed: 1 })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });
});

describe('an engine that is killed', () => {
  const two = { a: agents.a, b: agents.b };
  const options = { seed: 1, rounds: 1 };

  /** A round of two agents takes ten writes. Dying after one covers dying before the next, but for what is in hand. */
  const writesOfARun = { before: [0, 4, 7], after: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] } as const;

  async function undisturbed(): Promise<string> {
    const it = await begin(two);
    await connectAll(it, ['a', 'b']);
    return (await whenOver(it, await it.rounds.start('fit', options))).base.weights.hash;
  }

  it('at any write, before or after it, is replaced by one that goes on: each round once, the same weights', async () => {
    const expected = await undisturbed();
    for (const [when, writes] of Object.entries(writesOfARun)) {
      for (const nth of writes) {
        const it = await begin(two);
        await connectAll(it, ['a', 'b']);
        it.store.dieAt({ nth, when: when as keyof typeof writesOfARun });
        // The answer of `start` may be lost with the engine; the run is not.
        await it.rounds.start('fit', options).catch(() => undefined);
        const [runId] = [...it.store.rows.records.keys()].map((key) => key.split('/')[0]);
        while (!it.store.isDead() && !(await isOver(it, runId))) await new Promise((resolve) => setTimeout(resolve, 2));
        it.store.dieAt(undefined);
        await it.replaceEngine();
        const [started] = await it.store.claimable();
        const id = runId ?? started;
        if (id === undefined) throw new Error('the run is lost');
        const state = await whenOver(it, id);
        expect([when, nth, state.status, state.base.weights.hash]).toEqual([when, nth, 'completed', expected]);
        expect(it.store.rows.checkpoints.map(({ round }) => round)).toEqual([1]);
      }
    }
  }, 300_000);

  it('goes on by itself from what is stored when a write fails, whether it was stored or not', async () => {
    const expected = await undisturbed();
    for (const when of ['before', 'after'] as const) {
      for (const nth of [1, 2, 4]) {
        const it = await begin(two);
        await connectAll(it, ['a', 'b']);
        it.store.dieAt({ nth, when });
        const runId = await it.rounds.start('fit', options);
        while (!it.store.isDead()) await new Promise((resolve) => setTimeout(resolve, 2));
        it.store.dieAt(undefined);
        const state = await whenOver(it, runId);
        expect([when, nth, state.status, state.base.weights.hash]).toEqual([when, nth, 'completed', expected]);
        expect(it.store.rows.checkpoints.map(({ round }) => round)).toEqual([1]);
      }
    }
  }, 300_000);

  it('loses its run to the one that took over, and writes nothing more', async () => {
    const it = await begin({
      ...agents,
      a: { delta: constant(1), silent: true },
      b: { delta: constant(1), silent: true },
    });
    await connectAll(it);
    const runId = await it.rounds.start('probe', { seed: 1 });
    const dead = it.rounds;
    await it.replaceEngine();
    await expect(dead.stop(runId, 'too late')).rejects.toMatchObject({ code: 'LEASE_LOST' });
    expect((await it.store.stored(runId)).machine.status).toBe('running');
  });
});

async function isOver(it: Federation, runId: string | undefined): Promise<boolean> {
  return runId !== undefined && (await it.store.stored(runId)).machine.status === 'completed';
}
