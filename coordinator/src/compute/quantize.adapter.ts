/** The INT8 form of a candidate: its trunk once in a run, its tail in every round, from the ranges that the agents saw. */
import { readFile } from 'node:fs/promises';

import { GraftError } from '@graft/core/error';
import { operatorsOf } from '@graft/models/evaluate/structure';
import { decodeGraph } from '@graft/models/formats/onnx/graph-file';
import type { Model } from '@graft/models/graph/graph';
import { loadPart } from '@graft/models/pipeline/load-part';
import type { Part, Pipeline } from '@graft/models/pipeline/pipeline';
import { calibrationOutputs } from '@graft/models/quantize/plan';
import { quantizeModel } from '@graft/models/quantize/quantize-model';
import { checkRanges, mergeRanges, type Ranges } from '@graft/models/quantize/ranges';
import type { TensorRange } from '@graft/protos/messages';

import { pipelineBytes } from '../rounds/release.js';
import type { Blobs } from './aggregate.adapter.js';
import type { QuantizeInput, QuantizeOutput } from './model-work.js';
import { putPart } from './prepare.adapter.js';

export async function quantizeCandidate(input: QuantizeInput, blobs: Blobs): Promise<QuantizeOutput> {
  const { pipeline, ranges } = input;
  let frozenTrunk = input.frozenTrunk;
  try {
    if (pipeline.trunk !== undefined && frozenTrunk === undefined) {
      const reported = ranges.map(({ agentId, trunk }) => ({ agentId, ranges: trunk }));
      frozenTrunk = await quantizePart(pipeline.trunk, reported, blobs);
    }
    const reported = ranges.map(({ agentId, tail }) => ({ agentId, ranges: tail }));
    const tail = await quantizePart(pipeline.tail, reported, blobs);
    const { preprocessing, labels } = pipeline;
    const quantized = { preprocessing, ...(frozenTrunk && { trunk: frozenTrunk }), tail, labels };
    return {
      result: {
        pipeline: quantized,
        sizeBytesFp32: pipelineBytes(pipeline),
        sizeBytesInt8: pipelineBytes(quantized),
        operators: { fp32: await countOperators(pipeline, blobs), int8: await countOperators(quantized, blobs) },
      },
      ...(frozenTrunk && { frozenTrunk }),
    };
  } catch (error) {
    // Ranges that do not fit are a reason to release fp32, not to lose the round.
    if (!(error instanceof GraftError)) throw error;
    return { result: { none: error.message }, ...(frozenTrunk && { frozenTrunk }) };
  }
}

/** How often each operator stands in trunk and tail together. */
async function countOperators({ trunk, tail }: Pipeline, blobs: Blobs): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const part of trunk === undefined ? [tail] : [trunk, tail]) {
    const graph = decodeGraph(await readFile(blobs.path(part.graph.hash)));
    for (const { operator, count } of operatorsOf(graph)) counts[operator] = (counts[operator] ?? 0) + count;
  }
  return counts;
}

interface AgentRanges {
  readonly agentId: string;
  readonly ranges: readonly TensorRange[];
}

async function quantizePart(part: Part, reported: readonly AgentRanges[], blobs: Blobs): Promise<Part> {
  const model = await readPart(part, blobs);
  const quantized = quantizeModel(model, mergedRanges(model, reported));
  return putPart(quantized, [], blobs);
}

/** The cohort's ranges; those of an agent that sent something else are left out. Throws RANGES_INVALID where none is left. */
function mergedRanges(model: Model, reported: readonly AgentRanges[]): Ranges {
  const names = calibrationOutputs(model);
  const problems: string[] = [];
  const valid = reported.flatMap(({ agentId, ranges }) => {
    try {
      return [
        checkRanges(
          ranges.map(({ name, min, max }) => [name, { min, max }] as const),
          names,
          `agent ${agentId}`,
        ),
      ];
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
      return [];
    }
  });
  if (valid.length === 0) {
    const first = problems[0] ?? 'no agent reported any';
    throw new GraftError('RANGES_INVALID', `no activation ranges to quantize '${model.graph.name}' with: ${first}`);
  }
  return mergeRanges(valid);
}

export async function readPart({ graph, weights }: Part, blobs: Pick<Blobs, 'path'>): Promise<Model> {
  const [graphFile, ...weightFiles] = await Promise.all(
    [graph, ...weights].map(({ hash }) => readFile(blobs.path(hash))),
  );
  return loadPart(graphFile ?? new Uint8Array(), weightFiles);
}
