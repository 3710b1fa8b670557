/**
 * Which weights of a tail are learned. Importers turn every constant of a file into a weight, so a name says nothing: the place does.
 * A weight is learned where an operator multiplies or shifts activations by it; running statistics, clip bounds, shapes and
 * lone scalars (as in hard-swish's x * clip(x + 3, 0, 6) / 6) are not.
 */
import { elementCount } from '@graft/core/tensor';
import type { Graph } from '@graft/models/graph/graph';

/** Inputs of each operator that hold what training learns. */
const learnedInputs: Readonly<Record<string, readonly number[]>> = {
  Conv: [1, 2],
  ConvTranspose: [1, 2],
  Gemm: [1, 2],
  MatMul: [0, 1],
  BatchNormalization: [1, 2],
  InstanceNormalization: [1, 2],
  LayerNormalization: [1, 2],
  GroupNormalization: [1, 2],
  PRelu: [1],
  Gather: [0],
  Add: [0, 1],
  Mul: [0, 1],
};

/** Operators that also compute with constants of a formula; a single number there is one. */
const alsoArithmetic: ReadonlySet<string> = new Set(['Add', 'Mul']);

/** Names in the order of the graph; only float32 weights that no other input takes. */
export function trainableWeights(graph: Graph): string[] {
  const learned = new Set<string>();
  const fixed = new Set<string>();
  for (const { op, domain, inputs } of graph.nodes) {
    const places = domain === '' ? learnedInputs[op] : undefined;
    for (const [place, name] of inputs.entries()) (places?.includes(place) === true ? learned : fixed).add(name);
  }
  const scalars = new Set(graph.nodes.filter(({ op }) => alsoArithmetic.has(op)).flatMap(({ inputs }) => inputs));
  return graph.weights
    .filter(({ name, dtype }) => dtype === 'float32' && learned.has(name) && !fixed.has(name))
    .filter(({ name, shape }) => !(scalars.has(name) && (shape === undefined || elementCount(shape.map(Number)) <= 1)))
    .map(({ name }) => name);
}
