/**
 * Opening and folding of sealed updates, synchronous arithmetic for a worker thread. Both go chunk by chunk, so memory holds
 * the weights once and a few chunks, however many updates there are. The fold visits updates in the order it is given,
 * for every chunk, and sums in float64: the result is a function of the updates, not of when they came.
 */
import { readFile } from 'node:fs/promises';

import { GraftError } from '@graft/core/error';
import { layoutOf } from '@graft/core/layout';
import type { Tensor } from '@graft/core/tensor';
import { decodeSafetensors } from '@graft/models/formats/safetensors';
import type { BlobRef } from '@graft/models/pipeline/pipeline';
import { encodeDownlink } from '@graft/models/quantize/downlink';
import { fedAvg } from '@graft/strategies/fed-avg';

import type { Opened } from '../rounds/admission.js';
import type { FoldRequest, FoldResult, OpenRequest } from './aggregation.js';
import { elementsPerChunk, sealedDelta } from './sealed-delta.adapter.js';

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
      for (let i = 0; i < part.length; i++) squared += (part[i] as number) ** 2;
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

function notFinite(part: Float32Array, offset: number): Opened {
  const at = part.findIndex((value) => !Number.isFinite(value));
  return { kind: 'not-finite', index: offset + at, value: String(part[at]) };
}

/** The weighted mean of the updates added to the base, written as two blobs: fp32, and the same rounded to fp16. */
export async function foldUpdates(request: FoldRequest, blobs: Blobs): Promise<FoldResult> {
  const { updates, base, parameterCount } = request;
  const file = await readFile(blobs.path(base.hash));
  const { weights } = decodeSafetensors(file);
  const vector = vectorOf(weights);
  if (vector.length !== parameterCount) {
    throw new GraftError('INTERNAL', `the base has ${vector.length} parameters, the task ${parameterCount}`);
  }
  const deltas = updates.map(({ ciphertext, manifest, roundSecretKey, exampleCount, weight }) => ({
    delta: sealedDelta(blobs.path(ciphertext.hash), manifest, roundSecretKey),
    exampleCount,
    weight,
  }));
  let squaredNorm = 0;
  let exampleCount = 0;
  for (let offset = 0, chunk = 0; offset < vector.length; offset += elementsPerChunk, chunk++) {
    const part = vector.subarray(offset, offset + elementsPerChunk);
    const sum = fedAvg.init(part.length);
    for (const { delta, ...counts } of deltas) {
      fedAvg.accumulate(sum, { delta: delta.read(chunk), offset: 0, ...counts });
    }
    fedAvg.apply(part, sum);
    checkFinite(part, offset);
    const report = fedAvg.report(sum);
    squaredNorm += report.squaredNorm;
    exampleCount = report.exampleCount;
  }
  const report = { updateCount: updates.length, exampleCount, norm: Math.sqrt(squaredNorm) };
  // The vector lies in the file's own bytes: they are the new checkpoint.
  const downlink = encodeDownlink(weights).bytes;
  const [master, fp16] = await Promise.all([blobs.put(file), blobs.put(downlink)]);
  return { weights: master, fp16, report };
}

/** Updates that are finite one by one may still add up to what float32 cannot hold. */
function checkFinite(part: Float32Array, offset: number): void {
  for (let i = 0; i < part.length; i++) {
    if (!Number.isFinite(part[i])) {
      throw new GraftError('AGGREGATION_FAILED', `parameter ${offset + i} would become ${part[i]}`);
    }
  }
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
