/**
 * Admission: what is checked of an update before it may be folded, in this order. Every refusal names the value and the limit.
 *
 *   first                 signature, and whose it is (protos: sealed/admit-manifest.adapter.ts)
 *   before it is opened   task, base, layout, parameter count, size, example count
 *   while it is opened    envelope (chunks, tags, length), finite values
 *   after                 norm
 *
 * Round, selection and repetition are the machine's to judge; see machine/reports.ts.
 */
import type { UpdateManifest } from '@graft/protos/messages';

import { checkNorm, normLimit } from './machine/norm.js';
import { baseHashOf } from './machine/policy/carry.js';
import type { Refusal } from './machine/event.js';
import type { RunState } from './machine/state.js';

/** What the run asked for. */
export interface Expected {
  readonly taskId: string;
  readonly agentId: string;
  readonly layoutHash: string;
  readonly parameterCount: number;
  /** Bytes of the sealed form of that many float32. */
  readonly ciphertextBytes: number;
}

export function checkManifest(manifest: UpdateManifest, expected: Expected, state: RunState): Refusal | undefined {
  if (manifest.taskId !== expected.taskId) {
    return refusal('unknown-round', `the manifest is of task '${manifest.taskId}', the run is of ${expected.taskId}`);
  }
  const base = baseHashOf(state, manifest.round);
  if (manifest.baseHash !== base) {
    const from = `the update starts from ${short(manifest.baseHash)}, round ${manifest.round}`;
    return refusal('stale-base', `${from} ${base === undefined ? 'is worked on no more' : `from ${short(base)}`}`);
  }
  if (manifest.layoutHash !== expected.layoutHash) {
    const { layoutHash } = manifest;
    return refusal('bad-layout', `the layout is ${short(layoutHash)}, the task's is ${short(expected.layoutHash)}`);
  }
  return checkSizes(manifest, expected) ?? checkExampleCount(manifest, state.plan.limits.maxExamples);
}

/** What opening the envelope found. */
export type Opened =
  | { readonly kind: 'opened'; readonly norm: number }
  | { readonly kind: 'not-finite'; readonly index: number; readonly value: string }
  | { readonly kind: 'bad-envelope'; readonly message: string };

export function checkOpened(opened: Opened, state: RunState): Refusal | undefined {
  switch (opened.kind) {
    case 'bad-envelope':
      return refusal('bad-envelope', opened.message);
    case 'not-finite':
      return refusal('not-finite', `element ${opened.index} of the update is ${opened.value}`);
    default:
      return checkNorm(opened.norm, normLimit(state));
  }
}

function checkSizes(manifest: UpdateManifest, expected: Expected): Refusal | undefined {
  const { parameterCount, ciphertext } = manifest;
  if (parameterCount !== expected.parameterCount) {
    return refusal('size', `the update has ${parameterCount} parameters, the task has ${expected.parameterCount}`);
  }
  if (ciphertext === null) return refusal('size', 'the manifest names no ciphertext');
  if (ciphertext.sizeBytes !== expected.ciphertextBytes) {
    const { sizeBytes } = ciphertext;
    return refusal('size', `the sealed update has ${sizeBytes} bytes, expected ${expected.ciphertextBytes}`);
  }
  return undefined;
}

function checkExampleCount({ exampleCount }: UpdateManifest, maxExamples: number): Refusal | undefined {
  if (Number.isSafeInteger(exampleCount) && exampleCount >= 1 && exampleCount <= maxExamples) return undefined;
  return refusal('example-count', `the update claims ${exampleCount} examples, the task allows 1 to ${maxExamples}`);
}

function refusal(reason: Refusal['reason'], message: string): Refusal {
  return { reason, message };
}

function short(hash: string): string {
  return hash === '' ? 'nothing' : hash.slice(0, 12);
}
