/**
 * Central evaluation: both precisions of a candidate on the hold-out examples. What a trunk makes of the examples is computed once
 * and kept, since the trunk stays the same from round to round; only the tail runs again.
 */
import { readFile } from 'node:fs/promises';

import { GraftError } from '@graft/core/error';
import { elementCount, tensor, type Tensor } from '@graft/core/tensor';
import { summariseLatency, type Latency } from '@graft/models/evaluate/latency';
import { klSumOf, measureLogits, type Measures } from '@graft/models/evaluate/measures';
import { bindInputs, stackExamples, type ExampleTensors } from '@graft/models/pipeline/batches/example-tensors';
import type { Part, Pipeline } from '@graft/models/pipeline/pipeline';
import { predictLogits } from '@graft/models/training/predict-logits';
import type { Value } from '@graft/models/graph/graph';
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
  readonly inputs: readonly Value[];
  /** The first of them. */
  readonly input: string;
  readonly output: string;
}

interface Trunk {
  readonly loaded: Loaded;
  /** float32 [examples, ...]. */
  readonly features: Tensor<'float32'>;
}

export interface Evaluator {
  evaluate(input: EvaluateInput): Promise<CentralEvaluation>;
}

export function createEvaluator(blobs: Pick<Blobs, 'path'>): Evaluator {
  const trunks = new Map<string, Trunk>();
  const latencies = new Map<string, Latency>();
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
    const trunk = { loaded, features: await outputsOf(loaded, inputs) };
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
      const logits =
        trunk === undefined
          ? await outputsOf(tail, inputs)
          : await predictLogits(tail.session, tail, { features: trunk.features, batchSize });
      // How long a graph takes does not depend on the values of its weights: the same graphs are timed once.
      const graphs = `${pipeline.trunk?.graph.hash ?? ''} ${pipeline.tail.graph.hash}`;
      const { p50Ms, p95Ms } = latencies.get(graphs) ?? (await latencyOf(inputs, trunk?.loaded, tail));
      latencies.set(graphs, { p50Ms, p95Ms });
      const measures = { ...measureLogits(logits, labels), latencyP50Ms: p50Ms, latencyP95Ms: p95Ms };
      return { measures, logits };
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
      const klSum = klSumOf(full.logits, eight.logits);
      return { fp32: full.measures, int8: eight.measures, klSum: finite(klSum) };
    },
  };
}

interface Measured {
  readonly measures: Measures & PrecisionMeasures;
  readonly logits: Tensor<'float32'>;
}

async function load(part: Part, blobs: Pick<Blobs, 'path'>): Promise<Loaded> {
  const model = await readPart(part, blobs);
  // One thread: the same bits on every run, and a latency that means the same on every machine.
  const session = await onnxRuntime.load(model, { threads: 1, purpose: 'inference' });
  const { inputs, outputs } = model.graph;
  return { session, inputs, input: inputs[0]?.name ?? '', output: outputs[0]?.name ?? '' };
}

/** What a part makes of all examples, batch by batch. Throws MODEL_MALFORMED where it is not one row an example. */
async function outputsOf(part: Loaded, inputs: Examples['inputs']): Promise<Tensor<'float32'>> {
  const batches: Tensor<'float32'>[] = [];
  for (let begin = 0; begin < inputs.length; begin += batchSize) {
    const batch = inputs.slice(begin, begin + batchSize);
    const value = (await part.session.run(bindInputs(part.inputs, stackExamples(batch))))[part.output];
    if (value?.dtype !== 'float32' || value.shape[0] !== batch.length) {
      const got = value === undefined ? 'nothing' : `${value.dtype} [${value.shape.join(', ')}]`;
      throw new GraftError(
        'MODEL_MALFORMED',
        `a part of the pipeline gives ${got} as '${part.output}' for ${batch.length} examples`,
      );
    }
    batches.push(value);
  }
  const shape = [inputs.length, ...(batches[0]?.shape.slice(1) ?? [])];
  const all = new Float32Array(elementCount(shape));
  let offset = 0;
  for (const { data } of batches) {
    all.set(data, offset);
    offset += data.length;
  }
  return tensor('float32', shape, all);
}

/** Latency of one preprocessed example through trunk and tail. */
async function latencyOf(inputs: Examples['inputs'], trunk: Loaded | undefined, tail: Loaded): Promise<Latency> {
  const samplesMs: number[] = [];
  for (let run = 0; run < warmUpRuns + latencyRuns; run++) {
    const example = stackExamples(inputs.slice(run % inputs.length, (run % inputs.length) + 1));
    const startMs = performance.now();
    const middle = trunk === undefined ? example : await featuresOf(trunk, example);
    await tail.session.run(bindInputs(tail.inputs, middle));
    if (run >= warmUpRuns) samplesMs.push(performance.now() - startMs);
  }
  return summariseLatency(samplesMs);
}

async function featuresOf({ session, inputs, output }: Loaded, example: ExampleTensors): Promise<ExampleTensors> {
  const value = (await session.run(bindInputs(inputs, example)))[output];
  return value === undefined ? {} : { [output]: value };
}

/** JSON has no Infinity: answers that are infinitely far apart stay as far apart as numbers go. */
function finite(value: number): number {
  return Number.isFinite(value) ? value : Number.MAX_VALUE;
}
