/**
 * Opening and folding of sealed updates, synchronous arithmetic for a worker thread. Both go chunk by chunk, so memory holds
 * the weights once and a few chunks, however many updates there are. The fold visits updates in the order it is given,
 * for every chunk, and sums in float64 by the plan of fold-plan.ts: the result is a function of the updates, not of when
 * they came, nor of how many machines took part.
 */
import { readFile } from 'node:fs/promises';

import { GraftError } from '@graft/core/error';
import { layoutOf } from '@graft/core/layout';
import type { Tensor } from '@graft/core/tensor';
import { decodeSafetensors } from '@graft/models/formats/safetensors';
import type { BlobRef } from '@graft/models/pipeline/pipeline';
import { encodeDownlink } from '@graft/models/quantize/downlink';
import { fedAvg, type FedAvgSum } from '@graft/strategies/fed-avg';

import type { Opened } from '../rounds/admission.js';
import type { FoldRequest, FoldResult, OpenRequest, PartialSum, PartialSums, WeighedUpdate } from './aggregation.js';
import { foldPlan, type FoldNode } from './fold-plan.js';
import { elementsPerChunk, sealedDelta, type SealedDelta } from './sealed-delta.adapter.js';

/** What is needed of the blob store. */
export interface Blobs {
  readonly path: (hash: string) => string;
  readonly put: (bytes: Uint8Array) => Promise<BlobRef>;
}

/** Opens an update, checks that every element is finite, and measures its L2 norm. Keeps nothing. */
export function openUpdate(request: OpenRequest, blobs: Pick<Blobs, 'path'>): Opened {
  const { update, roundSecretKey, parameterCount } = request;
  try {
    const delta = sealedDelta(blobs.path(update.ciphertext.hash), update.manifest, roundSecretKey);
    if (delta.length !== parameterCount) {
      return { kind: 'bad-envelope', message: `the envelope holds ${delta.length} elements, not ${parameterCount}` };
    }
    let squared = 0;
    for (let chunk = 0; chunk < delta.chunkCount; chunk++) {
      const part = delta.read(chunk);
      squared += squaredNorm(part);
      // A sum of squares of float32 cannot overflow float64, so it is not finite only where an element is not.
      if (!Number.isFinite(squared)) return notFinite(part, chunk * elementsPerChunk);
    }
    return { kind: 'opened', norm: Math.sqrt(squared) };
  } catch (error) {
    if (error instanceof GraftError && error.code === 'ENVELOPE_INVALID') {
      return { kind: 'bad-envelope', message: error.message };
    }
    throw error;
  }
}

/** Four sums at a time: an addition need not wait for the one before. */
function squaredNorm(part: Float32Array): number {
  let [a, b, c, d] = [0, 0, 0, 0];
  const whole = part.length - (part.length % 4);
  for (let i = 0; i < whole; i += 4) {
    a += (part[i] as number) ** 2;
    b += (part[i + 1] as number) ** 2;
    c += (part[i + 2] as number) ** 2;
    d += (part[i + 3] as number) ** 2;
  }
  for (let i = whole; i < part.length; i++) a += (part[i] as number) ** 2;
  return a + b + (c + d);
}

function notFinite(part: Float32Array, offset: number): Opened {
  const at = part.findIndex((value) => !Number.isFinite(value));
  return { kind: 'not-finite', index: offset + at, value: String(part[at]) };
}

/** The weighted mean of the updates added to the base, written as two blobs: fp32, and the same rounded to fp16. */
export async function foldUpdates(request: FoldRequest, blobs: Blobs): Promise<FoldResult> {
  const { updates, base, parameterCount, shape } = request;
  const plan = foldPlan(updates.length, shape);
  const deltas = deltasOf(updates, blobs);
  return applied(base, parameterCount, blobs, (chunk, length) => sumOfPlan(plan, deltas, chunk, length));
}

/** The weights of the base with a mean over them, part by part: `sumOf` answers the sum of a chunk of so many elements. */
async function applied(
  base: BlobRef,
  parameterCount: number,
  blobs: Blobs,
  sumOf: (chunk: number, length: number) => FedAvgSum,
): Promise<FoldResult> {
  const file = await readFile(blobs.path(base.hash));
  const { weights } = decodeSafetensors(file);
  const vector = vectorOf(weights);
  if (vector.length !== parameterCount) {
    throw new GraftError('INTERNAL', `the base has ${vector.length} parameters, the task ${parameterCount}`);
  }
  let squaredNorm = 0;
  let counts = { exampleCount: 0, updateCount: 0 };
  for (let offset = 0, chunk = 0; offset < vector.length; offset += elementsPerChunk, chunk++) {
    const part = vector.subarray(offset, offset + elementsPerChunk);
    const sum = sumOf(chunk, part.length);
    fedAvg.apply(part, sum);
    checkFinite(part, offset);
    const report = fedAvg.report(sum);
    squaredNorm += report.squaredNorm;
    counts = { exampleCount: report.exampleCount, updateCount: report.updateCount };
  }
  const report = { ...counts, norm: Math.sqrt(squaredNorm) };
  // The vector lies in the file's own bytes: they are the new checkpoint.
  const downlink = encodeDownlink(weights).bytes;
  const [master, fp16] = await Promise.all([blobs.put(file), blobs.put(downlink)]);
  return { weights: master, fp16, report };
}

interface Delta {
  readonly delta: SealedDelta;
  readonly exampleCount: number;
  readonly weight: number;
}

function deltasOf(updates: readonly WeighedUpdate[], blobs: Pick<Blobs, 'path'>): Delta[] {
  return updates.map(({ ciphertext, manifest, roundSecretKey, exampleCount, weight }) => ({
    delta: sealedDelta(blobs.path(ciphertext.hash), manifest, roundSecretKey),
    exampleCount,
    weight,
  }));
}

/** The sum of one chunk by the plan of a fold; memory holds one sum a level of the tree. */
function sumOfPlan(plan: readonly FoldNode[], deltas: readonly Delta[], chunk: number, length: number): FedAvgSum {
  const sumOf = (node: FoldNode | undefined): FedAvgSum => {
    if (node?.kind !== 'join') return groupSum(deltas.slice(node?.from ?? 0, node?.to ?? 0), chunk, length);
    const sum = fedAvg.init(length);
    for (const child of node.children) addSum(sum, sumOf(plan[child]));
    return sum;
  };
  return sumOf(plan.at(-1));
}

function groupSum(deltas: readonly Delta[], chunk: number, length: number): FedAvgSum {
  const sum = fedAvg.init(length);
  for (const { delta, ...counts } of deltas) {
    fedAvg.accumulate(sum, { delta: delta.read(chunk), offset: 0, ...counts });
  }
  return sum;
}

function addSum(sum: FedAvgSum, part: FedAvgSum): void {
  for (let i = 0; i < sum.weighted.length; i++) {
    sum.weighted[i] = (sum.weighted[i] as number) + (part.weighted[i] as number);
  }
  sum.exampleCount += part.exampleCount;
  sum.updateCount += part.updateCount;
}

/** Elements before the sum itself: how many examples, how many updates. */
const countElements = 2;

/** The sum of a group of updates, as a blob. */
export async function sumGroup(
  { updates, parameterCount }: Parameters<PartialSums['group']>[0],
  blobs: Blobs,
): Promise<PartialSum> {
  const whole = new Float64Array(countElements + parameterCount);
  const deltas = deltasOf(updates, blobs);
  for (let offset = 0, chunk = 0; offset < parameterCount; offset += elementsPerChunk, chunk++) {
    const sum = groupSum(deltas, chunk, Math.min(elementsPerChunk, parameterCount - offset));
    whole.set([sum.exampleCount, sum.updateCount]);
    whole.set(sum.weighted, countElements + offset);
  }
  return blobs.put(bytesOf(whole));
}

/** The sum of partial sums, as a blob. */
export async function joinSums(
  { parts, parameterCount }: Parameters<PartialSums['join']>[0],
  blobs: Blobs,
): Promise<PartialSum> {
  const whole = new Float64Array(countElements + parameterCount);
  const sum = { weighted: whole.subarray(countElements), exampleCount: 0, updateCount: 0 };
  for (const part of parts) addSum(sum, await readSum(part, parameterCount, blobs));
  whole.set([sum.exampleCount, sum.updateCount]);
  return blobs.put(bytesOf(whole));
}

/** The weighted mean of a whole sum over the base. */
export async function finishFold(
  { sum, base, parameterCount }: Parameters<PartialSums['finish']>[0],
  blobs: Blobs,
): Promise<FoldResult> {
  const whole = await readSum(sum, parameterCount, blobs);
  return applied(base, parameterCount, blobs, (chunk, length) => {
    const offset = chunk * elementsPerChunk;
    return { ...whole, weighted: whole.weighted.subarray(offset, offset + length) };
  });
}

async function readSum(part: PartialSum, parameterCount: number, blobs: Pick<Blobs, 'path'>): Promise<FedAvgSum> {
  const file = await readFile(blobs.path(part.hash));
  if (file.byteLength !== (countElements + parameterCount) * Float64Array.BYTES_PER_ELEMENT) {
    throw new GraftError('BLOB_CORRUPT', `partial sum ${part.hash} has ${file.byteLength} bytes`);
  }
  const aligned = file.byteOffset % Float64Array.BYTES_PER_ELEMENT === 0 ? file : Uint8Array.from(file);
  const whole = new Float64Array(aligned.buffer, aligned.byteOffset, countElements + parameterCount);
  const [exampleCount = 0, updateCount = 0] = whole;
  return { weighted: whole.subarray(countElements), exampleCount, updateCount };
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float64Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** Updates that are finite one by one may still add up to what float32 cannot hold. */
function checkFinite(part: Float32Array, offset: number): void {
  // A number that is not finite makes NaN of its product with zero, and of the sum.
  let zero = 0;
  for (let i = 0; i < part.length; i++) zero += (part[i] as number) * 0;
  if (zero === 0) return;
  const at = part.findIndex((value) => !Number.isFinite(value));
  throw new GraftError('AGGREGATION_FAILED', `parameter ${offset + at} would become ${part[at]}`);
}

/**
 * All tensors of a checkpoint as one vector in layout order, without a copy: a safetensors file of float32 tensors
 * holds them sorted by name and without gaps. Throws INTERNAL for a file that is anything else.
 */
function vectorOf(weights: ReadonlyMap<string, Tensor>): Float32Array {
  const layout = layoutOf([...weights].map(([name, { shape }]) => [name, shape]));
  const first = weights.get(layout.entries[0]?.name ?? '');
  if (first?.dtype !== 'float32') throw new GraftError('INTERNAL', 'the base holds no float32 tensors');
  for (const { name, offset } of layout.entries) {
    const { dtype, data } = weights.get(name) ?? first;
    const inPlace = data.buffer === first.data.buffer && data.byteOffset === first.data.byteOffset + offset * 4;
    if (dtype !== 'float32' || !inPlace)
      throw new GraftError('INTERNAL', `the base does not hold '${name}' in layout order`);
  }
  return new Float32Array(first.data.buffer, first.data.byteOffset, layout.length);
}
