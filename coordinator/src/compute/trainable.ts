/**
 * Which weights of a tail are trained: those that layers learn. Constants that exporters left among the weights (the 3 of a
 * hard-swish, bounds, sizes) and running statistics of normalizations are not.
 */
import type { Model } from '@graft/models/graph/graph';

/** Positions of learned inputs, by operator. Running mean and variance of BatchNormalization (3, 4) are not among them. */
const learnedInputs: Readonly<Record<string, readonly number[]>> = {
  Conv: [1, 2],
  ConvTranspose: [1, 2],
  Gemm: [1, 2],
  MatMul: [0, 1],
  BatchNormalization: [1, 2],
  InstanceNormalization: [1, 2],
  GroupNormalization: [1, 2],
  LayerNormalization: [1, 2],
  PRelu: [1],
};

/** Names of the float32 weights that the tail learns, sorted by code unit. */
export function trainableNames({ graph }: Model): string[] {
  const weights = new Map(graph.weights.map((weight) => [weight.name, weight]));
  const names = new Set<string>();
  for (const { op, domain, inputs } of graph.nodes) {
    if (domain !== '') continue;
    for (const position of learnedInputs[op] ?? []) {
      const name = inputs[position] ?? '';
      if (weights.get(name)?.dtype === 'float32') names.add(name);
    }
    // The bias of a MatMul, or of a convolution that was exported without one, is an Add of a whole vector.
    if (op === 'Add') for (const name of inputs.filter((input) => isVector(weights.get(input)?.shape))) names.add(name);
  }
  return [...names].filter((name) => weights.get(name)?.dtype === 'float32').sort();
}

function isVector(shape: readonly (number | string)[] | undefined): boolean {
  return shape !== undefined && shape.some((size) => typeof size === 'number' && size > 1);
}
