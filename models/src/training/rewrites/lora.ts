/** Low-rank adaptation: Hu et al. 2021, https://arxiv.org/abs/2106.09685 */
import { GraftError } from '@graft/core/error';
import { random } from '@graft/core/random';
import { elementCount, tensor, zeros, type Tensor, type Weights } from '@graft/core/tensor';

import { namesRead } from '../../graph/captures.js';
import type { Model, Node, Value } from '../../graph/graph.js';
import { intOf } from '../../operators/site.js';
import { fixedSizeOf } from '../fixed-size.js';
import { patternOf } from '../assembly/trainable.js';
import type { LoraSpec } from '../training-step.js';

/** How the weight of a layer stands: [in, out], [out, in], or [out, in, k, ...]. */
type Layout = 'columns' | 'rows' | 'kernels';

interface Adapted {
  readonly name: string;
  readonly shape: readonly number[];
  readonly layout: Layout;
}

/** Names of the factors of a weight. */
export const factorNames = (weight: string): { a: string; b: string } => ({
  a: `lora/${weight}/A`,
  b: `lora/${weight}/B`,
});

const adaptedOps: ReadonlySet<string> = new Set(['MatMul', 'Gemm', 'Conv']);

/**
 * The model with y + (alpha / rank) B(A(x)) for each adapted layer: A maps to `rank` numbers, B back. Factors are new weights,
 * A uniform within 1 / sqrt(inputs), B zero, so that the outputs are at first those of the model.
 * Result: the model, and the factors, which are what is trained.
 * Throws TENSOR_UNKNOWN where no weight fits, MODEL_UNSUPPORTED for a rank below 1 or a weight that is asked for and cannot be adapted.
 */
export function withLora(model: Model, spec: LoraSpec): { model: Model; factors: Map<string, Tensor<'float32'>> } {
  const adapted = adaptedWeights(model, spec);
  const factors = initialFactors(adapted, spec);
  const byName = new Map(adapted.map((each) => [each.name, each]));
  const scale = (spec.alpha ?? spec.rank) / spec.rank;
  const nodes = model.graph.nodes.flatMap((node) => {
    const weight = byName.get(node.inputs[1] ?? '');
    return weight === undefined || !adaptedOps.has(node.op) ? [node] : adaptedNodes(node, weight);
  });
  const added = new Map<string, Tensor>([...factors, [scaleName, tensor('float32', [], Float32Array.of(scale))]]);
  const values = [...added].map(([name, { dtype, shape }]): Value => ({ name, dtype, shape }));
  const graph = { ...model.graph, nodes, weights: [...model.graph.weights, ...values] };
  return { model: { graph, weights: new Map([...model.weights, ...added]) }, factors };
}

const scaleName = 'lora/scale';

/** Weights that every reader multiplies by, in the same layout; others would not see what training changes. */
function adaptedWeights({ graph }: Model, { matching, rank }: LoraSpec): Adapted[] {
  if (!Number.isInteger(rank) || rank < 1) {
    throw new GraftError('MODEL_UNSUPPORTED', `LoRA cannot have rank ${rank}; it must be a whole number from 1`);
  }
  const patterns = matching?.map(patternOf);
  const found = graph.weights.flatMap((weight): Adapted[] => {
    if (patterns !== undefined && !patterns.some((pattern) => pattern.test(weight.name))) return [];
    const layouts = graph.nodes
      .filter((node) => namesRead(node).includes(weight.name))
      .map((node) => layoutOf(node, weight));
    const [layout] = layouts;
    if (layout !== undefined && layouts.every((each) => each === layout)) {
      const shape = (weight.shape ?? []).map((size) => fixedSizeOf(size, `elements of '${weight.name}'`));
      return [{ name: weight.name, shape, layout }];
    }
    if (patterns === undefined || (weight.shape?.length ?? 0) < 2) return [];
    throw new GraftError(
      'MODEL_UNSUPPORTED',
      `weight '${weight.name}' has no LoRA: only float32 weights of MatMul, Gemm and Conv of one group do`,
    );
  });
  if (found.length > 0) return found;
  throw new GraftError(
    'TENSOR_UNKNOWN',
    `no weight of the model can have LoRA${matching === undefined ? '' : ` among ${matching.join(', ')}`}`,
  );
}

function layoutOf(node: Node, { name, dtype, shape = [] }: Value): Layout | undefined {
  const places = namesRead(node).filter((each) => each === name).length;
  if (node.inputs[1] !== name || places !== 1 || dtype !== 'float32' || node.domain !== '') return undefined;
  if (node.op === 'MatMul' && shape.length === 2) return 'columns';
  if (node.op === 'Gemm' && intOf(node, 'transA', 0) === 0) return intOf(node, 'transB', 0) === 1 ? 'rows' : 'columns';
  return node.op === 'Conv' && intOf(node, 'group', 1) === 1 ? 'kernels' : undefined;
}

/** Shapes in the layout of the weight itself, so that both factors are read as the weight is. */
function factorShapes({ shape, layout }: Adapted, rank: number): { a: number[]; b: number[] } {
  const [first = 0, second = 0, ...kernel] = shape;
  if (layout === 'columns') return { a: [first, rank], b: [rank, second] };
  if (layout === 'rows') return { a: [rank, second], b: [first, rank] };
  return { a: [rank, second, ...kernel], b: [first, rank, ...kernel.map(() => 1)] };
}

function initialFactors(adapted: readonly Adapted[], { rank, seed }: LoraSpec): Map<string, Tensor<'float32'>> {
  const stream = random(seed);
  return new Map(
    adapted.flatMap((weight): [string, Tensor<'float32'>][] => {
      const { a, b } = factorShapes(weight, rank);
      const names = factorNames(weight.name);
      const bound = 1 / Math.sqrt(elementCount(a) / rank);
      const data = Float32Array.from({ length: elementCount(a) }, () => (2 * stream.next() - 1) * bound);
      return [
        [names.a, tensor('float32', a, data)],
        [names.b, zeros('float32', b)],
      ];
    }),
  );
}

/** The layer beside its low-rank way: the first factor with the layer's strides and pads, the second place by place. */
function adaptedNodes(node: Node, weight: Adapted): Node[] {
  const [x = ''] = node.inputs;
  const [y = ''] = node.outputs;
  const { a, b } = factorNames(weight.name);
  const value = (part: string): string => `lora/${y}/${part}`;
  const made = (op: string, inputs: readonly string[], output: string, attributes: Node['attributes'] = {}): Node => {
    return { name: output, op, domain: '', inputs, outputs: [output], attributes };
  };
  const { beta: _, ...factorAttributes } = node.attributes;
  const { alpha: __, ...plainAttributes } = factorAttributes;
  const first = made(node.op, [x, a], value('down'), node.op === 'Gemm' ? plainAttributes : factorAttributes);
  const second = made(node.op, [value('down'), b], value('up'), node.op === 'Conv' ? {} : factorAttributes);
  return [
    { ...node, name: value('base'), outputs: [value('base')] },
    first,
    second,
    made('Mul', [value('up'), scaleName], value('scaled')),
    made('Add', [value('base'), value('scaled')], y),
  ];
}

/**
 * The model with W + (alpha / rank) B A in place of each adapted weight: the same graph, and the outputs of the adapted model.
 * @param model as it was given to training
 * @param factors as training left them
 * Throws TENSOR_UNKNOWN where a factor is missing.
 */
export function mergeLora(model: Model, factors: Weights, spec: LoraSpec): Model {
  const scale = (spec.alpha ?? spec.rank) / spec.rank;
  const merged = adaptedWeights(model, spec).map((weight): [string, Tensor] => {
    const { a, b } = factorNames(weight.name);
    const [down, up, base] = [factors.get(a), factors.get(b), model.weights.get(weight.name)];
    if (down?.dtype !== 'float32' || up?.dtype !== 'float32' || base?.dtype !== 'float32') {
      throw new GraftError(
        'TENSOR_UNKNOWN',
        `the factors '${a}' and '${b}' of '${weight.name}' are needed, as float32`,
      );
    }
    const [left, right] = weight.layout === 'columns' ? [down, up] : [up, down];
    return [
      weight.name,
      tensor('float32', weight.shape, sumWithProduct(base.data, [left.data, right.data], { rank: spec.rank, scale })),
    ];
  });
  return { graph: model.graph, weights: new Map([...model.weights, ...merged]) };
}

/** base + scale left right, with left [rows, rank] and right [rank, columns], summed in float64. */
function sumWithProduct(
  base: Float32Array,
  [left, right]: readonly [Float32Array, Float32Array],
  { rank, scale }: { rank: number; scale: number },
): Float32Array {
  const columns = right.length / rank;
  const result = new Float32Array(base.length);
  const row = new Float64Array(columns);
  for (let i = 0; i * columns < base.length; i++) {
    row.fill(0);
    for (let k = 0; k < rank; k++) {
      const factor = scale * (left[i * rank + k] ?? 0);
      for (let j = 0; j < columns; j++) row[j] = (row[j] ?? 0) + factor * (right[k * columns + j] ?? 0);
    }
    for (let j = 0; j < columns; j++) result[i * columns + j] = (base[i * columns + j] ?? 0) + (row[j] ?? 0);
  }
  return result;
}
