import { tensor } from '@graft/core/tensor';
import { encodeSafetensors } from '@graft/models/formats/safetensors';
import { createRoundKey } from '@graft/protos/identity/random.adapter';

import { finishFold, foldUpdates, joinSums, sumGroup } from './aggregate.adapter.js';
import type { PartialSum } from './aggregation.js';
import { foldPlan } from './fold-plan.js';
import { blobDirectory, sealUpdate } from './sealing.contract.js';

const blobs = blobDirectory();
const roundKey = createRoundKey();
const parameterCount = 500;
const shape = { alone: 4, group: 3, fanIn: 2 };

/** Thirds and large steps between them: sums of these round differently in every order. */
const vectorOf = (seed: number): Float32Array =>
  Float32Array.from({ length: parameterCount }, (_, i) => (Math.sin(i * seed) * 10 ** (seed % 7)) / 3);

const base = blobs.store(encodeSafetensors(new Map([['w', tensor('float32', [parameterCount], vectorOf(1))]])));
const updates = Array.from({ length: 17 }, (_, i) => ({
  ...sealUpdate(
    { agentId: `agent-${i}`, delta: vectorOf(i + 2), exampleCount: 10 + i * 7, roundKey: roundKey.publicKey },
    blobs.store,
  ),
  roundSecretKey: roundKey.secretKey,
  weight: i % 3 === 0 ? 0.7 : 1,
}));

/** Every part of the plan as a blob, as several replicas compute it. */
async function shared(): Promise<PartialSum> {
  const sums: PartialSum[] = [];
  for (const node of foldPlan(updates.length, shape)) {
    const parts = node.kind === 'join' ? node.children.flatMap((child) => sums[child] ?? []) : [];
    sums.push(
      node.kind === 'join'
        ? await joinSums({ parts, parameterCount }, blobs)
        : await sumGroup({ updates: updates.slice(node.from, node.to), parameterCount }, blobs),
    );
  }
  const sum = sums.at(-1);
  if (sum === undefined) throw new Error('the plan is empty');
  return sum;
}

describe('partial sums', () => {
  test('add up to the bits of one fold of all updates in the same plan', async () => {
    const whole = await foldUpdates({ updates, base, parameterCount, shape }, blobs);
    const parts = await finishFold({ sum: await shared(), base, parameterCount }, blobs);
    expect(parts).toEqual(whole);
    expect(parts.report).toMatchObject({ updateCount: 17, exampleCount: 17 * 10 + 7 * 136 });
  }, 60_000);

  test('are summed in an order that matters, so that it must be fixed', async () => {
    const sum = await sumGroup({ updates, parameterCount }, blobs);
    expect(await sumGroup({ updates, parameterCount }, blobs)).toEqual(sum);
    expect((await sumGroup({ updates: [...updates].reverse(), parameterCount }, blobs)).hash).not.toBe(sum.hash);
  }, 60_000);

  test('that are cut short are refused', async () => {
    const sum = await sumGroup({ updates: updates.slice(0, 2), parameterCount }, blobs);
    const cut = blobs.store(blobs.read(sum.hash).subarray(8));
    await expect(joinSums({ parts: [cut], parameterCount }, blobs)).rejects.toMatchObject({ code: 'BLOB_CORRUPT' });
  }, 60_000);
});
