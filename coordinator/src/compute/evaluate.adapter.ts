/**
 * Central evaluation: both precisions of a candidate on the hold-out examples. What a trunk makes of the examples is computed once
 * and kept, since the trunk stays the same from round to round; only the tail runs again.
 */
import { readFile } from 'node:fs/promises';

import { tensor, type Tensor } from '@graft/core/tensor';
import { summariseLatency } from '@graft/models/evaluate/latency';
import { klSumOf, measureLogits, mergeMeasures, type Measures } from '@graft/models/evaluate/measures';
import { computeFeatures, stack } from '@graft/models/pipeline/features';
import type { Part, Pipeline } from '@graft/models/pipeline/pipeline';
import { onnxRuntime } from '@graft/models/runtime/onnxruntime.adapter';
import type { Session } from '@graft/models/runtime/runtime';

import type { CentralEvaluation } from '../rounds/machine/state.js';
import type { PrecisionMeasures } from '../rounds/rounds.js';
import type { Blobs } from './aggregate.adapter.js';
import { readHoldOut, type Examples } from './hold-out.adapter.js';
import type { EvaluateInput } from './model-work.js';
import { readPart } from './quantize.adapter.js';

const batchSize = 50;
/** Runs of one example; the first ones allocate memory and are not counted. */
const latencyRuns = 25;
const warmUpRuns = 5;
/** The trunks of one run in two precisions, and of the run before. */
const keptTrunks = 4;

interface Loaded {
  readonly session: Session;
  readonly input: string;
  readonly output: string;
}

interface Trunk {
  readonly loaded: Loaded;
  readonly features: readonly Tensor<'float32'>[];
}

export interface Evaluator {
  evaluate(input: EvaluateInput): Promise<CentralEvaluation>;
}

export function createEvaluator(blobs: Pick<Blobs, 'path'>): Evaluator {
  const trunks = new Map<string, Trunk>();
  let examples: { readonly key: string; readonly value: Examples } | undefined;

  async function examplesOf({ holdOut, fp32 }: EvaluateInput): Promise<Examples> {
    const key = `${holdOut} ${JSON.stringify(fp32.preprocessing)} ${fp32.labels.length}`;
    if (examples?.key !== key) {
      const bytes = await readFile(blobs.path(holdOut));
      examples = { key, value: await readHoldOut(bytes, fp32.preprocessing, fp32.labels.length) };
    }
    return examples.value;
  }

  async function trunkOf(part: Part, holdOut: string, inputs: Examples['inputs']): Promise<Trunk> {
    const key = [holdOut, part.graph.hash, ...part.weights.map(({ hash }) => hash)].join(' ');
    const known = trunks.get(key);
    if (known !== undefined) return known;
    const loaded = await load(part, blobs);
    const features: Tensor<'float32'>[] = [];
    for await (const one of computeFeatures(loaded.session, loaded, { examples: inputs, batchSize }))
      features.push(one);
    const trunk = { loaded, features };
    trunks.set(key, trunk);
    const [oldest] = trunks.keys();
    if (trunks.size > keptTrunks && oldest !== undefined) {
      await trunks.get(oldest)?.loaded.session.dispose();
      trunks.delete(oldest);
    }
    return trunk;
  }

  async function measure(pipeline: Pipeline, holdOut: string, { inputs, labels }: Examples): Promise<Measured> {
    const trunk = pipeline.trunk && (await trunkOf(pipeline.trunk, holdOut, inputs));
    const tail = await load(pipeline.tail, blobs);
    try {
      const logits = await logitsOf(tail, trunk?.features ?? inputs);
      const measures = mergeMeasures(
        logits.map((batch, i) => measureLogits(batch, labels.subarray(i * batchSize, (i + 1) * batchSize))),
      );
      return { measures: { ...measures, ...(await latencyOf(inputs, trunk?.loaded, tail)) }, logits };
    } finally {
      await tail.session.dispose();
    }
  }

  return {
    evaluate: async (input) => {
      const { fp32, int8, holdOut } = input;
      const set = await examplesOf(input);
      const full = await measure(fp32, holdOut, set);
      if (int8 === undefined) return { fp32: full.measures, klSum: 0 };
      const eight = await measure(int8, holdOut, set);
      const klSum = full.logits.reduce((sum, batch, i) => sum + klSumOf(batch, eight.logits[i] ?? batch), 0);
      return { fp32: full.measures, int8: eight.measures, klSum: finite(klSum) };
    },
  };
}

interface Measured {
  readonly measures: Measures & PrecisionMeasures;
  readonly logits: readonly Tensor[];
}

async function load(part: Part, blobs: Pick<Blobs, 'path'>): Promise<Loaded> {
  const model = await readPart(part, blobs);
  // One thread: the same bits on every run, and a latency that means the same on every machine.
  const session = await onnxRuntime.load(model, { threads: 1, purpose: 'inference' });
  const { inputs, outputs } = model.graph;
  return { session, input: inputs[0]?.name ?? '', output: outputs[0]?.name ?? '' };
}

async function logitsOf(tail: Loaded, examples: readonly Tensor<'float32'>[]): Promise<Tensor[]> {
  const logits: Tensor[] = [];
  for (let begin = 0; begin < examples.length; begin += batchSize) {
    const fetches = await tail.session.run({ [tail.input]: stack(examples.slice(begin, begin + batchSize)) });
    const value = fetches[tail.output];
    if (value !== undefined) logits.push(value);
  }
  return logits;
}

/** Latency of one preprocessed example through trunk and tail. */
async function latencyOf(
  inputs: Examples['inputs'],
  trunk: Loaded | undefined,
  tail: Loaded,
): Promise<{ latencyP50Ms: number; latencyP95Ms: number }> {
  const samplesMs: number[] = [];
  for (let run = 0; run < warmUpRuns + latencyRuns; run++) {
    const example = stack(inputs.slice(run % inputs.length, (run % inputs.length) + 1));
    const startMs = performance.now();
    const middle = trunk === undefined ? example : (await trunk.session.run({ [trunk.input]: example }))[trunk.output];
    await tail.session.run({ [tail.input]: middle ?? tensor('float32', [0], new Float32Array()) });
    if (run >= warmUpRuns) samplesMs.push(performance.now() - startMs);
  }
  const { p50Ms, p95Ms } = summariseLatency(samplesMs);
  return { latencyP50Ms: p50Ms, latencyP95Ms: p95Ms };
}

/** JSON has no Infinity: answers that are infinitely far apart stay as far apart as numbers go. */
function finite(value: number): number {
  return Number.isFinite(value) ? value : Number.MAX_VALUE;
}
