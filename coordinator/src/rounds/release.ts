/** The release that a committed round makes: which pipeline, in which precision, and what was measured of it; JSON that is signed. */
import type { BlobRef, Part, Pipeline } from '@graft/models/pipeline/pipeline';

import { releaseIdOf } from './machine/release-id.js';
import type { StoredRun } from './material.js';
import { candidatePipeline } from './plans.js';

export interface ReleaseRow {
  readonly id: string;
  readonly precision: 'fp32' | 'int8';
  readonly manifest: Uint8Array;
  readonly signature: Uint8Array;
}

/** The release of the round that has just been committed; undefined where its gate let none pass. */
export function releaseRow(
  { machine, material }: StoredRun,
  { signRelease }: { readonly signRelease: (manifest: Uint8Array) => Uint8Array },
): ReleaseRow | undefined {
  const { decision, plan, round, quantized, atMs } = machine;
  const fp32 = candidatePipeline(machine, material);
  if (decision?.passed !== true || fp32 === undefined) return undefined;
  const int8 = quantized !== undefined && 'pipeline' in quantized ? quantized.pipeline : undefined;
  const isInt8 = decision.precision === 'int8' && int8 !== undefined;
  const pipeline = isInt8 ? int8 : fp32;
  const pipelineOther = isInt8 ? fp32 : int8;
  const id = releaseIdOf(machine);
  const precision = isInt8 ? 'int8' : 'fp32';
  const manifest = new TextEncoder().encode(
    JSON.stringify({
      id,
      taskId: plan.taskId,
      runId: plan.runId,
      round,
      precision,
      pipeline,
      ...(pipelineOther && { pipelineOther }),
      labels: pipeline.labels,
      measures: decision,
      createdAtMs: atMs,
    }),
  );
  return { id, precision, manifest, signature: signRelease(manifest) };
}

/** Bytes of all files of a pipeline, each counted once. */
export function pipelineBytes({ trunk, tail }: Pipeline): number {
  const files = (part: Part | undefined): BlobRef[] => (part === undefined ? [] : [part.graph, ...part.weights]);
  const byHash = new Map([...files(trunk), ...files(tail)].map(({ hash, sizeBytes }) => [hash, sizeBytes]));
  return [...byHash.values()].reduce((total, sizeBytes) => total + sizeBytes, 0);
}
