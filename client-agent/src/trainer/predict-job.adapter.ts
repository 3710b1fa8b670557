/** Answers from an installed release: one input after another; one that cannot be read is an answer of its own. */
import { GraftError } from '@graft/core/error';
import type { Tensor } from '@graft/core/tensor';
import { bindInputs, stackExamples, type BatchTensors } from '@graft/models/pipeline/batches/example-tensors';
import type { Pipeline } from '@graft/models/pipeline/pipeline';

import { openPreprocess, type Preprocess } from './examples/preprocess.adapter.js';
import type { ResidentSession, ResidentSessions } from './resident-sessions.adapter.js';
import type { PredictInput, Prediction, PredictSource } from './trainer-calls.js';

export async function predict(
  { pipeline, blobs, inputs }: PredictInput,
  sessions: ResidentSessions,
): Promise<readonly Prediction[]> {
  const run = await openPipeline(pipeline, blobs, sessions);
  const preprocess = await openPreprocess(pipeline.preprocessing, blobs);
  const predictions: Prediction[] = [];
  for (const input of inputs) predictions.push(await predictOne(input, { labels: pipeline.labels, preprocess, run }));
  return predictions;
}

/** Logits of one batch of preprocessed examples. */
export type RunPipeline = (batch: BatchTensors) => Promise<Tensor>;

/** Trunk and tail as one function from a batch to its logits [batch, classes]. */
export async function openPipeline(
  pipeline: Pipeline,
  blobs: string,
  sessions: ResidentSessions,
): Promise<RunPipeline> {
  const trunk = pipeline.trunk === undefined ? undefined : await sessions.part(pipeline.trunk, blobs);
  const tail = await sessions.part(pipeline.tail, blobs);
  return async (batch) => runOne(tail, trunk === undefined ? batch : { features: await runOne(trunk, batch) });
}

/** Runs a session of one output on a batch of what it takes. Throws MODEL_MALFORMED where it has no output, DATA_UNSUITABLE. */
export async function runOne({ session, inputs, outputs }: ResidentSession, batch: BatchTensors): Promise<Tensor> {
  const [output] = outputs;
  if (output === undefined) throw new GraftError('MODEL_MALFORMED', 'a part of the pipeline has no output');
  const result = (await session.run(bindInputs(inputs, batch)))[output.name];
  if (result === undefined) throw new GraftError('MODEL_MALFORMED', `the runtime gave no '${output.name}'`);
  return result;
}

interface Answering {
  readonly labels: readonly string[];
  readonly preprocess: Preprocess;
  readonly run: RunPipeline;
}

async function predictOne(input: PredictSource, { labels, preprocess, run }: Answering): Promise<Prediction> {
  const name = input.kind === 'image' ? input.path : input.name;
  try {
    const logits = await run(stackExamples([await preprocess(input, name)]));
    const probabilities = softmax(logits, labels.length);
    let best = 0;
    for (const [index, probability] of probabilities.entries()) {
      if (probability > (probabilities[best] ?? 0)) best = index;
    }
    return { input: name, ok: true, label: labels[best] ?? '', probability: probabilities[best] ?? 0, probabilities };
  } catch (error) {
    if (!(error instanceof GraftError) || error.code === 'MODEL_MALFORMED') throw error;
    return { input: name, ok: false, code: error.code, message: error.message };
  }
}

/** Softmax of one row of logits, in double precision. Throws MODEL_MALFORMED where there is not one number a label. */
export function softmax(logits: Tensor, labels: number): number[] {
  if (logits.dtype !== 'float32' || logits.data.length !== labels) {
    throw new GraftError(
      'MODEL_MALFORMED',
      `the model gives ${logits.dtype} [${logits.shape.join(', ')}] for ${labels} labels`,
    );
  }
  const max = Math.max(...logits.data);
  const exponentials = Array.from(logits.data, (logit) => Math.exp(logit - max));
  const sum = exponentials.reduce((total, value) => total + value, 0);
  return exponentials.map((value) => value / sum);
}
