/** Comparisons, logic and bits, and the choice by a condition: https://onnx.ai/onnx/operators/onnx__Where.html */
import type { Dimension } from '../../graph/graph.js';
import { broadcastType, unbroadcast } from '../broadcast.js';
import { differenceOf, leastOf, productOf } from '../dimension.js';
import { discrete } from '../elementwise.js';
import type { GraphBuilder } from '../graph-builder.js';
import { knownOf } from '../known.js';
import { operator, type GradientSite, type Known, type Operator, type OperatorRows, type Site } from '../operator.js';
import { inputOf } from '../site.js';
import { foldedType, numbers, type Fold } from './binary.js';

const comparison = (fold?: Fold): Operator => discrete((site) => [foldedType(site, fold, 'bool')]);

const compared = (holds: (a: number, b: number) => boolean): Fold => numbers((a, b) => (holds(a, b) ? 1 : 0));

/** Sizes are at least 1: a difference that then has one sign says that they are not equal. */
const equal: Fold = (a, b) => {
  const difference = differenceOf(a, b);
  if (difference === 0) return 1;
  if (typeof difference === 'number') return 0;
  return [difference, productOf([-1, difference])].some((each) => (leastOf(each) ?? 0) > 0) ? 0 : undefined;
};

const bitwise = (compute?: (a: number, b: number) => number): Operator =>
  discrete((site) => [foldedType(site, compute && numbers(compute))]);

/** Element by element the operand that the condition names, where all three are known and of one length. */
function inferWhere(site: Site): Known[] {
  const { shape } = broadcastType(site, [0, 1, 2]);
  const parts = [0, 1, 2].map((i) => site.inputs[i]?.elements);
  const length = Math.max(...parts.map((elements) => elements?.length ?? 0));
  const elements = Array.from({ length }, (_, i): Dimension | undefined => {
    const [condition, a, b] = parts.map((each) => (each?.length === 1 ? each[0] : each?.[i]));
    return typeof condition === 'number' ? (condition === 0 ? b : a) : undefined;
  }).filter((element) => element !== undefined);
  const { dtype } = inputOf(site, 1);
  return [elements.length === length && length > 0 ? knownOf(dtype, shape, elements) : knownOf(dtype, shape)];
}

function whereGradient(
  { node, outputGradients: [dy], wants }: GradientSite,
  build: GraphBuilder,
): (string | undefined)[] {
  const [condition = '', a = '', b = ''] = node.inputs;
  if (dy === undefined) return [];
  const zero = build.scalar(0, dy);
  return [
    undefined,
    wants(1) ? unbroadcast(build.add('Where', [condition, dy, zero]), a, build) : undefined,
    wants(2) ? unbroadcast(build.add('Where', [condition, zero, dy]), b, build) : undefined,
  ];
}

export const logicOperators: OperatorRows = {
  Equal: comparison(equal),
  Greater: comparison(compared((a, b) => a > b)),
  GreaterOrEqual: comparison(compared((a, b) => a >= b)),
  Less: comparison(compared((a, b) => a < b)),
  LessOrEqual: comparison(compared((a, b) => a <= b)),
  And: comparison(compared((a, b) => a !== 0 && b !== 0)),
  Or: comparison(compared((a, b) => a !== 0 || b !== 0)),
  Xor: comparison(compared((a, b) => (a !== 0) !== (b !== 0))),
  BitShift: bitwise(),
  BitwiseAnd: bitwise(),
  BitwiseOr: bitwise(),
  BitwiseXor: bitwise(),
  Where: operator({ infer: inferWhere, gradient: whereGradient }),
};
