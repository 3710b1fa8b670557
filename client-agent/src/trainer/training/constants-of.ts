/** What a training step is fed in every run of a round: the weights that the round began with, and weights of classes. */
import { tensor, type Tensor, type Weights } from '@graft/core/tensor';
import { balancedClassWeights } from '@graft/models/pipeline/batches/class-weights';
import type { TrainingSpec } from '@graft/models/pipeline/training-spec';
import type { Feeds } from '@graft/models/runtime/runtime';
import { targetOf } from '@graft/models/training/step-feeds';
import type { TrainingStep } from '@graft/models/training/training-step';

export interface RoundValues {
  readonly spec: TrainingSpec;
  readonly labels: Int32Array;
  /** Holds every trainable weight. */
  readonly base: Weights;
}

export function constantsOf(step: TrainingStep, { spec, labels, base }: RoundValues): Feeds {
  const anchors = step.references.flatMap(({ role, weight, input }): [string, Tensor][] => {
    const value = base.get(weight);
    return role === 'anchor' && value !== undefined ? [[input, value]] : [];
  });
  if (spec.classWeights === undefined) return Object.fromEntries(anchors);
  const classWeights = tensor('float32', [step.classes], balancedClassWeights(labels, step.classes));
  return Object.fromEntries([...anchors, [targetOf(step, 'class-weights').name, classWeights]]);
}
