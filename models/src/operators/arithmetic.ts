/** Arithmetic and comparisons that broadcast: https://onnx.ai/onnx/operators/ */
import type { Dimension } from '../graph/graph.js';
import { broadcast, broadcastType, maskOf, unbroadcast } from './broadcast.js';
import { productOf, quotientOf } from './dimension.js';
import type { GraphBuilder } from './graph-builder.js';
import {
  operator,
  sizeOf,
  type GradientSite,
  type Known,
  type Operator,
  type OperatorRows,
  type Site,
} from './operator.js';
import { shapeOf } from './site.js';

interface Operands {
  readonly a: string;
  readonly b: string;
  readonly y: string;
  readonly dy: string;
  readonly build: GraphBuilder;
}

type Derivative = (operands: Operands) => string;
type Fold = (a: Dimension, b: Dimension) => Dimension | undefined;

function folded(site: Site, type: Known, fold: Fold | undefined): Known {
  const [a, b] = site.inputs.map((known) => known?.elements);
  if (fold === undefined || a === undefined || b === undefined) return type;
  if (a.length !== b.length && a.length !== 1 && b.length !== 1) return type;
  const elements = Array.from({ length: Math.max(a.length, b.length) }, (_, i) => {
    const [left, right] = [a[a.length === 1 ? 0 : i], b[b.length === 1 ? 0 : i]];
    return left === undefined || right === undefined ? undefined : fold(left, right);
  }).filter((element) => element !== undefined);
  return elements.length === Math.max(a.length, b.length) ? { ...type, elements } : type;
}

/** A row of two operands from the derivatives by each, before the sum over broadcast axes. */
function binary(byA: Derivative, byB: Derivative, fold?: Fold): Operator {
  return operator({
    infer: (site) => [folded(site, broadcastType(site, [0, 1]), fold)],
    gradient: ({ node, outputGradients: [dy], wants }, build) => {
      const [a = '', b = ''] = node.inputs;
      if (dy === undefined) return [];
      const operands = { a, b, y: node.outputs[0] ?? '', dy, build };
      return [
        wants(0) ? unbroadcast(byA(operands), a, build) : undefined,
        wants(1) ? unbroadcast(byB(operands), b, build) : undefined,
      ];
    },
  });
}

const times: Derivative = ({ b, dy, build }) => build.add('Mul', [dy, b]);
const numbers =
  (compute: (a: number, b: number) => number): Fold =>
  (a, b) =>
    typeof a === 'number' && typeof b === 'number' ? compute(a, b) : undefined;

/** p x^(p-1) dy; for squares without Pow, which is slow and not a number below zero in some runtimes. */
const powByBase: Derivative = ({ a, b, dy, build }) => {
  const exponent = build.typeOf(b).elements;
  const scaled = build.add('Mul', [dy, b]);
  if (exponent?.length === 1 && exponent[0] === 2) return build.add('Mul', [scaled, a]);
  return build.add('Mul', [scaled, build.add('Pow', [a, build.add('Sub', [b, build.scalar(1, b)])])]);
};

/** dy y ln x, for x > 0. */
const powByExponent: Derivative = ({ a, y, dy, build }) =>
  build.add('Mul', [dy, build.add('Mul', [y, build.add('Log', [a])])]);

const comparison: Operator = operator({
  infer: (site) => [broadcastType(site, [0, 1], 'bool')],
  gradient: 'not differentiable',
});

/** Max and Min of two: the gradient goes to the operand that was taken, to the first of equal ones. */
const extreme = (order: 'GreaterOrEqual' | 'LessOrEqual'): Operator =>
  binary(
    ({ a, b, dy, build }) => build.add('Mul', [dy, maskOf(build.add(order, [a, b]), dy, build)]),
    ({ a, b, dy, build }) => build.add('Mul', [dy, maskOf(build.add('Not', [build.add(order, [a, b])]), dy, build)]),
  );

export const arithmeticOperators: OperatorRows = {
  Add: binary(
    ({ dy }) => dy,
    ({ dy }) => dy,
    numbers((a, b) => a + b),
  ),
  Sub: binary(
    ({ dy }) => dy,
    ({ dy, build }) => build.add('Neg', [dy]),
    numbers((a, b) => a - b),
  ),
  Mul: binary(
    times,
    ({ a, dy, build }) => build.add('Mul', [dy, a]),
    (a, b) => productOf([a, b]),
  ),
  Div: binary(
    ({ b, dy, build }) => build.add('Div', [dy, b]),
    ({ b, y, dy, build }) => build.add('Neg', [build.add('Div', [build.add('Mul', [dy, y]), b])]),
    quotientOf,
  ),
  Pow: {
    ...binary(powByBase, powByExponent),
    infer: (site) => [{ ...broadcastType(site, [0, 1]), dtype: site.inputs[0]?.dtype ?? 'float32' }],
  },
  Max: extreme('GreaterOrEqual'),
  Min: extreme('LessOrEqual'),
  /** Any number of operands. */
  Sum: operator({
    infer: (site) => [broadcastType(site, [...site.node.inputs.keys()])],
    gradient: ({ node, outputGradients: [dy], wants }, build) =>
      node.inputs.map((name, i) => (dy !== undefined && wants(i) ? unbroadcast(dy, name, build) : undefined)),
    flops: ({ inputs }, [y]) => (inputs.length - 1) * sizeOf(y),
  }),
  Where: operator({
    infer: (site) => [
      {
        ...broadcastType(site, [1, 2]),
        shape: broadcast(
          site,
          [0, 1, 2].map((index) => shapeOf(site, index)),
        ),
      },
    ],
    gradient: whereGradient,
  }),
  Equal: comparison,
  Greater: comparison,
  GreaterOrEqual: comparison,
  Less: comparison,
  LessOrEqual: comparison,
  And: comparison,
  Or: comparison,
};

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
