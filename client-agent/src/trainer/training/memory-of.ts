/** How much memory a training graph needs, from the operator table. */
import type { Model, Value } from '@graft/models/graph/graph';
import { costOf } from '@graft/models/operators/cost';
import { buildTrainingStep } from '@graft/models/training/build-training-step';
import { withFreeBatch } from '@graft/models/training/rewrites/free-batch';
import { batchShapes } from '@graft/models/training/step-source';
import { slotsOf, type TrainingStepOptions } from '@graft/models/training/training-step';

/** Buffers that weights and optimizer state take turns in; see StateBuffers. */
const turns = 3;

/**
 * Bytes of the values in flight at the worst moment of a run of `rows` examples, of the frozen weights, and of the buffers of
 * weights and optimizer state. The runtime's own working memory comes on top. Throws what buildTrainingStep throws.
 */
export function memoryOf(model: Model, options: TrainingStepOptions, rows: number): number {
  // In standard operators: what private ones hold is of the same size, and the table knows these.
  const step = buildTrainingStep(withFreeBatch(model), { ...options, inputShapes: batchShapes(model, rows) });
  const sized = ({ name, shape = [] }: Value): [string, number[]] => [
    name,
    shape.map((size) => (typeof size === 'number' ? size : rows)),
  ];
  const { peakBytes, weightBytes } = costOf(step, Object.fromEntries(step.graph.inputs.map(sized)));
  const stateBytes = slotsOf(step).reduce((sum, { shape }) => sum + 4 * shape.reduce((a, b) => a * b, 1), 0);
  return peakBytes + weightBytes + (turns - 1) * stateBytes;
}
