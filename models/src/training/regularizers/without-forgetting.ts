/** Learning without forgetting, as terms of the gradient by outputs: Li and Hoiem 2016, https://arxiv.org/abs/1606.09282 */
import type { GraphBuilder } from '../../operators/graph-builder.js';
import { softenedDivergence } from '../losses/distillation.js';
import type { TargetInput } from '../training-step.js';
import type { LearnWithoutForgettingSpec, RegularizerSpec } from './regularizer-spec.js';

export interface Forgetting {
  readonly spec: LearnWithoutForgettingSpec;
  readonly target: TargetInput;
}

/** Declares the teacher's logits of each such regularizer. @param output that the loss is of */
export function declareTeachers(
  regularizers: readonly RegularizerSpec[],
  output: string,
  build: GraphBuilder,
): Forgetting[] {
  return regularizers.flatMap((spec): Forgetting[] => {
    if (spec.kind !== 'learning-without-forgetting') return [];
    const of = spec.output ?? output;
    const name = `train/before/${of}`;
    const target = { role: 'teacher', name, of, dtype: 'float32', shape: build.shapeOf(of) } as const;
    build.declare(name, { dtype: target.dtype, shape: target.shape });
    return [{ spec, target }];
  });
}

/** Adds the coefficient times the gradient of T^2 KL(softmax(teacher / T) || softmax(output / T)) to those that `gradients` holds by output. */
export function addForgetting(
  forgetting: readonly Forgetting[],
  { gradients, coefficient }: { gradients: Map<string, string>; coefficient: string },
  build: GraphBuilder,
): void {
  for (const { spec, target } of forgetting) {
    const site = { output: target.of, targets: { teacher: target.name } };
    const { gradient } = softenedDivergence(spec.temperature ?? 2, site, build);
    const term = build.add('Mul', [gradient, coefficient]);
    const known = gradients.get(target.of);
    gradients.set(target.of, known === undefined ? term : build.add('Add', [known, term]));
  }
}
