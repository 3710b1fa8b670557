/** Activation ranges for quantization, on the site's training examples: two numbers a tensor leave, no example does. */
import type { Tensor } from '@graft/core/tensor';
import type { Model } from '@graft/models/graph/graph';
import { stack } from '@graft/models/pipeline/features';
import { collectRanges } from '@graft/models/quantize/collect-ranges';
import { calibrationOutputs } from '@graft/models/quantize/plan';
import { withRanges } from '@graft/models/quantize/with-ranges';
import type { Runtime } from '@graft/models/runtime/runtime';
import type { TensorRange } from '@graft/protos/messages';

import { oneThread } from './resident-sessions.adapter.js';

/** Ranges settle after some hundred examples; more would only cost time. */
export const calibrationExamples = 256;

const batchSize = 16;

/**
 * The ranges that quantizing this model needs, over the first `calibrationExamples` of `examples`.
 * @param examples without a batch dimension, as the model's only input takes them
 * Throws RANGES_INVALID where an activation is not finite.
 */
export async function calibrate(
  model: Model,
  examples: readonly Tensor<'float32'>[],
  { runtime, signal }: { readonly runtime: Runtime; readonly signal: AbortSignal },
): Promise<TensorRange[]> {
  const names = calibrationOutputs(model);
  if (names.length === 0) return [];
  const session = await runtime.load(withRanges(model, names), { ...oneThread, purpose: 'inference' });
  try {
    const input = model.graph.inputs[0]?.name ?? '';
    const ranges = await collectRanges(session, names, batches(input, examples.slice(0, calibrationExamples), signal));
    return [...ranges].map(([name, { min, max }]) => ({ name, min, max }));
  } finally {
    await session.dispose();
  }
}

function* batches(input: string, examples: readonly Tensor<'float32'>[], signal: AbortSignal) {
  for (let begin = 0; begin < examples.length; begin += batchSize) {
    signal.throwIfAborted();
    yield { [input]: stack(examples.slice(begin, begin + batchSize)) };
  }
}
