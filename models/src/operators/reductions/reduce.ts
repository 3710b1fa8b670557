/** Sums, means, norms and extremes along axes: https://onnx.ai/onnx/operators/onnx__ReduceSum.html */
import { castTo, expandLike, maskOf } from '../broadcast.js';
import { knownCount, productOf, sumOf } from '../dimension.js';
import type { Dimension } from '../../graph/graph.js';
import type { GraphBuilder } from '../graph-builder.js';
import { knownOf, numericShape } from '../known.js';
import {
  operator,
  sizeOf,
  type GradientSite,
  type Known,
  type Operator,
  type OperatorRows,
  type Site,
} from '../operator.js';
import { inputOf, intOf, shapeOf } from '../site.js';
import { axesOf, reducedShape, withAxes } from './reduced-axes.js';

/** The result of few numbers, undefined where it is not followed. */
type Fold = (elements: readonly Dimension[]) => Dimension | undefined;

/** Numbers are followed where a vector is reduced to one, as products of sizes are. */
function inferReduction(site: Site, fold: Fold | undefined): Known[] {
  const { dtype, elements, shape: from } = inputOf(site, 0);
  const shape = reducedShape(site);
  const whole = from?.length === 1 && axesOf(site)?.size === 1;
  const result = whole && elements !== undefined ? fold?.(elements) : undefined;
  return [knownOf(dtype, shape, result === undefined ? undefined : [result])];
}

interface Spread {
  readonly site: GradientSite;
  readonly build: GraphBuilder;
  readonly x: string;
  /** The result and the gradient by it, with the reduced axes as size 1. */
  readonly y: () => string;
  readonly dy: string;
}

/** A row from the gradient by the input; what `spread` returns broadcasts to the input's shape. */
function reduction(
  spread: (values: Spread) => string,
  { fold, flops = 1 }: { fold?: Fold; flops?: number } = {},
): Operator {
  return operator({
    infer: (site) => inferReduction(site, fold),
    gradient: (site, build) => {
      const [gradient] = site.outputGradients;
      const [x = ''] = site.node.inputs;
      if (gradient === undefined) return [];
      const y = (): string => withAxes(site, site.node.outputs[0] ?? '', build);
      const dx = spread({ site, build, x, y, dy: withAxes(site, gradient, build) });
      return [expandLike(dx, x, build)];
    },
    flops: ({ inputs: [x] }) => flops * sizeOf(x),
  });
}

/** Elements of the input for one of the result, as they turn out where a symbol is among them. */
function meanOf({ site, x, dy, build }: Spread): string {
  const axes = axesOf(site);
  const count = axes && knownCount(shapeOf(site, 0).filter((_, axis) => axes.has(axis)));
  if (count !== undefined) return build.add('Mul', [dy, build.scalar(1 / count, dy)]);
  const size = (value: string): string => castTo(build.add('Size', [value]), build.typeOf(dy).dtype, build);
  return build.add('Mul', [dy, build.add('Div', [size(dy), size(x)])]);
}

/** To every element that equals the extreme, in equal shares as in PyTorch. */
function shareOfExtreme({ site, x, y, dy, build }: Spread): string {
  const taken = maskOf(build.add('Equal', [x, y()]), dy, build);
  const [, axes = ''] = site.node.inputs;
  const count = build.add('ReduceSum', axes === '' ? [taken] : [taken, axes], {
    keepdims: 1,
    noop_with_empty_axes: intOf(site.node, 'noop_with_empty_axes', 0),
  });
  return build.add('Mul', [taken, build.add('Div', [dy, count])]);
}

/** dy times the product of the others: of two or more zeros none matters, of one only that one. */
function productOfOthers({ site, x, dy, build }: Spread): string {
  const [, axes = ''] = site.node.inputs;
  const attributes = { keepdims: 1, noop_with_empty_axes: intOf(site.node, 'noop_with_empty_axes', 0) };
  const reduced = (op: string, value: string): string =>
    build.add(op, axes === '' ? [value] : [value, axes], attributes);
  const isZero = build.add('Equal', [x, build.scalar(0, x)]);
  const divisor = build.add('Where', [isZero, build.scalar(1, x), x]);
  const zero = maskOf(isZero, dy, build);
  const counted = maskOf(build.add('Equal', [zero, reduced('ReduceSum', zero)]), dy, build);
  const scaled = build.add('Div', [build.add('Mul', [dy, reduced('ReduceProd', divisor)]), divisor]);
  return build.add('Mul', [scaled, counted]);
}

/** x / y dy, and 0 where the norm is 0. */
function alongNorm({ x, y, dy, build }: Spread): string {
  const norm = y();
  const isZero = build.add('Equal', [norm, build.scalar(0, norm)]);
  const divisor = build.add('Where', [isZero, build.scalar(1, norm), norm]);
  return build.add('Mul', [x, build.add('Div', [dy, divisor])]);
}

const ofNumbers =
  (pick: (...values: number[]) => number): Fold =>
  (elements) => {
    const numbers = numericShape(elements);
    return numbers === undefined ? undefined : pick(...numbers);
  };

export const reductionOperators: OperatorRows = {
  ReduceSum: reduction(({ dy }) => dy, { fold: sumOf }),
  ReduceMean: reduction(meanOf),
  ReduceMax: reduction(shareOfExtreme, { fold: ofNumbers(Math.max) }),
  ReduceMin: reduction(shareOfExtreme, { fold: ofNumbers(Math.min) }),
  ReduceProd: reduction(productOfOthers, { fold: productOf }),
  ReduceL1: reduction(({ x, dy, build }) => build.add('Mul', [dy, build.add('Sign', [x])]), { flops: 2 }),
  ReduceL2: reduction(alongNorm, { flops: 2 }),
  /** 2 x dy */
  ReduceSumSquare: reduction(({ x, dy, build }) => build.add('Mul', [x, build.add('Mul', [dy, build.scalar(2, dy)])]), {
    flops: 2,
  }),
  /** dy / e^y */
  ReduceLogSum: reduction(({ y, dy, build }) => build.add('Mul', [dy, build.add('Exp', [build.add('Neg', [y()])])])),
  /** dy e^(x - y) */
  ReduceLogSumExp: reduction(
    ({ x, y, dy, build }) => build.add('Mul', [dy, build.add('Exp', [build.add('Sub', [x, y()])])]),
    { flops: 12 },
  ),
};
