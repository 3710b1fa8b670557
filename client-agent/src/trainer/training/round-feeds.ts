/** What a training step is fed beside the examples: the weights that the round began with, and weights of classes. */
import { tensor, type Tensor, type Weights } from '@graft/core/tensor';
import { balancedClassWeights } from '@graft/models/pipeline/batches/class-weights';
import type { TrainingSpec } from '@graft/models/pipeline/training-spec';
import type { Feeds } from '@graft/models/runtime/runtime';
import type { BatchSource } from '@graft/models/training/batch-source';
import { targetOf } from '@graft/models/training/step-feeds';
import type { TrainingStep } from '@graft/models/training/training-step';

/** References of regularizers. @param base holds every trainable weight */
export function referencesOf({ references }: TrainingStep, base: Weights): Feeds {
  return Object.fromEntries(
    references.flatMap(({ role, weight, input }): [string, Tensor][] => {
      const value = base.get(weight);
      return role === 'anchor' && value !== undefined ? [[input, value]] : [];
    }),
  );
}

/** The batches with the weights of the classes, where the task asks for them. */
export function weighted(
  batches: BatchSource,
  { step, spec, labels }: { readonly step: TrainingStep; readonly spec: TrainingSpec; readonly labels: Int32Array },
): BatchSource {
  if (spec.classWeights === undefined) return batches;
  const weights = tensor('float32', [step.classes], balancedClassWeights(labels, step.classes));
  const { name } = targetOf(step, 'class-weights');
  return {
    count: batches.count,
    batch: async (rows, epoch) => ({ ...(await batches.batch(rows, epoch)), [name]: weights }),
  };
}
