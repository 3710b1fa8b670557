/** Activation ranges for quantization, on the site's training examples: two numbers a tensor leave, no example does. */
import type { Model } from '@graft/models/graph/graph';
import { bindInputs, stackExamples, type ExampleTensors } from '@graft/models/pipeline/batches/example-tensors';
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
 * The ranges that quantizing this model needs.
 * @param examples without a batch dimension, as the model's inputs take them; `calibrationExamples` are enough
 * Throws RANGES_INVALID where an activation is not finite.
 */
export async function calibrate(
  model: Model,
  examples: readonly ExampleTensors[],
  { runtime, signal }: { readonly runtime: Runtime; readonly signal: AbortSignal },
): Promise<TensorRange[]> {
  const names = calibrationOutputs(model);
  if (names.length === 0) return [];
  const session = await runtime.load(withRanges(model, names), { ...oneThread, purpose: 'inference' });
  try {
    const ranges = await collectRanges(session, names, batches(model, examples, signal));
    return [...ranges].map(([name, { min, max }]) => ({ name, min, max }));
  } finally {
    await session.dispose();
  }
}

function* batches({ graph }: Model, examples: readonly ExampleTensors[], signal: AbortSignal) {
  for (let begin = 0; begin < examples.length; begin += batchSize) {
    signal.throwIfAborted();
    yield bindInputs(graph.inputs, stackExamples(examples.slice(begin, begin + batchSize)));
  }
}
