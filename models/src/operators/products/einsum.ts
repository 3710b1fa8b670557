/** Sums of products by an equation, and its gradients by the equation with result and operand exchanged. */
import { expandLike, unbroadcast } from '../broadcast.js';
import { floats, type GraphBuilder } from '../graph-builder.js';
import { operator, type GradientSite, type Known, type OperatorRows, type Site } from '../operator.js';
import { fixedSize, inputOf } from '../site.js';
import { equationOf, type Equation } from './einsum-equation.js';

function inferEinsum(site: Site): Known[] {
  const { result, sizes } = equationOf(site);
  return [{ dtype: inputOf(site, 0).dtype, shape: result.map((label) => sizes.get(label) ?? 1) }];
}

/** One operation for each factor of each product that is summed. */
function flops(site: Site): number {
  const { sizes } = equationOf(site);
  const products = [...sizes.values()].reduce<number>((all, size) => all * (typeof size === 'number' ? size : 1), 1);
  return products * Math.max(1, site.node.inputs.length);
}

interface Term {
  readonly value: string;
  readonly labels: readonly string[];
}

function einsumGradient(site: GradientSite, build: GraphBuilder): (string | undefined)[] {
  const [dy] = site.outputGradients;
  if (dy === undefined) return [];
  const equation = equationOf(site);
  const { inputs } = site.node;
  return inputs.map((_, index) => {
    if (!site.wants(index)) return undefined;
    const others = inputs.flatMap((value, i): Term[] =>
      i === index ? [] : [{ value, labels: equation.operands[i] ?? [] }],
    );
    return byOperand(site, { index, terms: [{ value: dy, labels: equation.result }, ...others], equation }, build);
  });
}

/** The sum over all labels that the operand does not have; an axis that stands nowhere else was summed by itself. */
function byOperand(
  site: GradientSite,
  { index, terms, equation }: { index: number; terms: readonly Term[]; equation: Equation },
  build: GraphBuilder,
): string {
  const own = equation.operands[index] ?? [];
  const seen = new Set(terms.flatMap(({ labels }) => labels));
  const unique = own.filter((label, axis) => own.indexOf(label) === axis);
  const kept = unique.filter((label) => seen.has(label));
  const product = contracted(terms, kept, build);
  const absent = own.flatMap((label, axis) => (seen.has(label) && own.indexOf(label) === axis ? [] : [axis]));
  const ranked = absent.length === 0 ? product : build.add('Unsqueeze', [product, build.ints(absent)]);
  const operand = site.node.inputs[index] ?? '';
  const masked = onDiagonals(site, { value: ranked, labels: own, index }, build);
  return expandLike(unbroadcast(masked, operand, build), operand, build);
}

function contracted(terms: readonly Term[], result: readonly string[], build: GraphBuilder): string {
  const [first] = terms;
  if (terms.length === 1 && first?.labels.join() === result.join()) return first.value;
  const equation = `${terms.map(({ labels }) => labels.join('')).join(',')}->${result.join('')}`;
  return build.add(
    'Einsum',
    terms.map(({ value }) => value),
    { equation },
  );
}

/** A label that stands twice in an operand reads its diagonal: elsewhere the gradient is zero. */
function onDiagonals(
  site: GradientSite,
  { value, labels, index }: { value: string; labels: readonly string[]; index: number },
  build: GraphBuilder,
): string {
  let masked = value;
  for (const [axis, label] of labels.entries()) {
    const first = labels.indexOf(label);
    if (first === axis) continue;
    const size = fixedSize(site, site.inputs[index]?.shape?.[axis], `size under label '${label}'`);
    const unit = Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0));
    const shape = labels.map((_, i) => (i === first || i === axis ? size : 1));
    masked = build.add('Mul', [masked, build.constant(floats(build.typeOf(value).dtype, shape, unit))]);
  }
  return masked;
}

export const einsumOperators: OperatorRows = {
  Einsum: operator({ infer: inferEinsum, gradient: einsumGradient, flops }),
};
