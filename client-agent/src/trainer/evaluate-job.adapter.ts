/** Measures a candidate on the held-out examples, in float32 and, where there is one, in int8. */
import { performance } from 'node:perf_hooks';

import { GraftError } from '@graft/core/error';
import type { Tensor } from '@graft/core/tensor';
import { summariseLatency } from '@graft/models/evaluate/latency';
import { klSumOf, measureLogits, mergeMeasures, noMeasures, type Measures } from '@graft/models/evaluate/measures';
import { stackExamples } from '@graft/models/pipeline/batches/example-tensors';
import type { Pipeline } from '@graft/models/pipeline/pipeline';
import type { PrecisionMeasures } from '@graft/protos/messages';

import { classNumbers } from '../data/labels.js';
import { openPreprocess } from './examples/preprocess.adapter.js';
import type { FeatureReader, SiteFeatures } from './examples/site-features.adapter.js';
import { forSite } from './examples/site-statistics.adapter.js';
import { openPipeline, runOne } from './predict-job.adapter.js';
import type { ResidentSessions } from './resident-sessions.adapter.js';
import type { JobControl } from './serve.driver.js';
import { readSite } from './site-examples.adapter.js';
import type { EvaluateInput, EvaluateOutput } from './trainer-calls.js';

/** Examples a run of the tail. */
const tailBatch = 64;

/** Single answers that are timed, and those before them that are not: the first ones allocate memory. */
const timed = { runs: 20, warmUp: 3 };

interface Measured {
  readonly measures: PrecisionMeasures;
  readonly logits: readonly Tensor[];
}

interface Evaluating extends JobControl {
  readonly sessions: ResidentSessions;
  readonly features: FeatureReader;
}

/** Throws LABEL_UNKNOWN, DATA_EMPTY, DATA_UNSUITABLE; EVALUATION_MALFORMED where a model answers with something else than logits. */
export async function evaluate(input: EvaluateInput, context: Evaluating): Promise<EvaluateOutput> {
  const { heldOut, training } = await readSite(input.places);
  if (heldOut.length === 0) throw new GraftError('DATA_EMPTY', 'no example is held out at this site');
  const { places } = input;
  const here = async (pipeline: Pipeline): Promise<Pipeline> => ({
    ...pipeline,
    preprocessing: await forSite(pipeline.preprocessing, training, places.splitFile),
  });
  const fp32 = await here(input.fp32);
  const control = { places, signal: context.signal, onProgress: context.onProgress };
  const base = await context.features.of(heldOut, fp32, control);
  const labels = classNumbers(base.examples, fp32.labels);
  const reference = await measure(fp32, { ...context, input, labels, known: base });
  if (input.int8 === undefined) return { fp32: reference.measures, klSum: 0 };
  const int8 = await here(input.int8);
  const known = await context.features.of(base.examples, int8, control);
  const candidate = await measure(int8, { ...context, input, labels, known });
  const klSum = reference.logits.reduce(
    (sum, logits, index) => sum + klSumOf(logits, candidate.logits[index] ?? logits),
    0,
  );
  if (!Number.isFinite(klSum))
    throw new GraftError('EVALUATION_MALFORMED', 'the candidate gives logits that are not finite');
  return { fp32: reference.measures, int8: candidate.measures, klSum };
}

interface Measuring extends Evaluating {
  readonly input: EvaluateInput;
  readonly labels: Int32Array;
  readonly known: SiteFeatures;
}

async function measure(pipeline: Pipeline, context: Measuring): Promise<Measured> {
  const { sessions, labels, known, input, signal, onProgress } = context;
  const tail = await sessions.part(pipeline.tail, input.places.blobs);
  let measures: Measures = noMeasures;
  const logits: Tensor[] = [];
  const rows = [...known.examples.keys()];
  for (let begin = 0; begin < rows.length; begin += tailBatch) {
    signal.throwIfAborted();
    const answer = await runOne(tail, stackExamples(await known.read(rows.slice(begin, begin + tailBatch))));
    const part = measureLogits(answer, labels.subarray(begin, begin + tailBatch));
    measures = mergeMeasures([measures, part]);
    logits.push(answer);
    onProgress({ activity: 'evaluating', progress: measures.examples / rows.length });
  }
  if (!Number.isFinite(measures.lossSum)) {
    throw new GraftError('EVALUATION_MALFORMED', 'the model gives logits that are not finite');
  }
  const { p50Ms, p95Ms } = await latencyOf(pipeline, context);
  return { measures: { ...measures, latencyP50Ms: p50Ms, latencyP95Ms: p95Ms }, logits };
}

/** How long one example takes through trunk and tail; decoding the image is not part of it. */
async function latencyOf(pipeline: Pipeline, { sessions, known, input }: Measuring) {
  const [example] = known.examples;
  if (example === undefined) throw new GraftError('DATA_EMPTY', 'no held-out example can be read');
  const preprocess = await openPreprocess(pipeline.preprocessing, input.places.blobs);
  const batch = stackExamples([await preprocess(example.source, example.name)]);
  const run = await openPipeline(pipeline, input.places.blobs, sessions);
  const samplesMs: number[] = [];
  for (let index = -timed.warmUp; index < timed.runs; index++) {
    const startMs = performance.now();
    await run(batch);
    if (index >= 0) samplesMs.push(performance.now() - startMs);
  }
  return summariseLatency(samplesMs);
}
