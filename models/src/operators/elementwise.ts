/** Functions of one tensor, element by element: https://onnx.ai/onnx/operators/ */
import { castTo } from './broadcast.js';
import type { GraphBuilder } from './graph-builder.js';
import { operator, view, type Known, type Operator, type OperatorRows, type Site } from './operator.js';
import { inputOf, intOf, unsupported } from './site.js';
import { elementTypeOf } from '../formats/onnx/data-types.js';

/** The type of the first input; the numbers are not followed. */
export function sameType(site: Site): Known[] {
  const { dtype, shape } = inputOf(site, 0);
  return [shape === undefined ? { dtype } : { dtype, shape }];
}

interface Values {
  /** Names of input, output and the gradient by the output. */
  readonly x: string;
  readonly y: string;
  readonly dy: string;
  readonly build: GraphBuilder;
  readonly site: Site;
}

/** A row from the local derivative: `derivative` returns the name of dx. */
export function elementwise(derivative: (values: Values) => string, flops = 1): Operator {
  const row = operator({
    infer: sameType,
    gradient: (site, build) => {
      const [dy] = site.outputGradients;
      const [x] = site.node.inputs;
      const [y] = site.node.outputs;
      if (dy === undefined || x === undefined || y === undefined) return [];
      return [derivative({ x, y, dy, build, site })];
    },
  });
  return { ...row, flops: (site, outputs) => flops * row.flops(site, outputs) };
}

function inferCast(site: Site): Known[] {
  const { shape, elements } = inputOf(site, 0);
  const dtype = elementTypeOf(intOf(site.node, 'to', 0));
  if (dtype === undefined) throw unsupported(site.node, 'casts to an element type that is not supported');
  return [
    {
      dtype,
      ...(shape && { shape }),
      ...(elements && {
        elements: elements.map((each) =>
          typeof each === 'number' && !dtype.startsWith('float') ? Math.trunc(each) : each,
        ),
      }),
    },
  ];
}

const isFloat = (known: Known | undefined): boolean => known?.dtype.startsWith('float') === true;

const unchanged: Operator = view({
  infer: (site) => [inputOf(site, 0)],
  gradient: ({ outputGradients }) => outputGradients.slice(0, 1),
});

export const elementwiseOperators: OperatorRows = {
  Identity: unchanged,
  /** At inference the identity; training with dropout is a rewrite of the graph. */
  Dropout: unchanged,
  Cast: operator({
    infer: inferCast,
    gradient: ({ inputs: [x], outputs: [y], outputGradients: [dy] }, build) =>
      dy === undefined || x === undefined || !isFloat(x) || !isFloat(y) ? [] : [castTo(dy, x.dtype, build)],
  }),
  Neg: elementwise(({ dy, build }) => build.add('Neg', [dy])),
  Abs: elementwise(({ x, dy, build }) => build.add('Mul', [dy, build.add('Sign', [x])])),
  Exp: elementwise(({ y, dy, build }) => build.add('Mul', [dy, y]), 10),
  Log: elementwise(({ x, dy, build }) => build.add('Div', [dy, x]), 10),
  /** dy / 2y */
  Sqrt: elementwise(({ y, dy, build }) => build.add('Div', [build.add('Mul', [dy, build.scalar(0.5, dy)]), y])),
  /** -dy y^2 */
  Reciprocal: elementwise(({ y, dy, build }) => build.add('Neg', [build.add('Mul', [dy, build.add('Mul', [y, y])])])),
  /** dy 2/sqrt(pi) exp(-x^2) */
  Erf: elementwise(({ x, dy, build }) => {
    const bell = build.add('Exp', [build.add('Neg', [build.add('Mul', [x, x])])]);
    return build.add('Mul', [build.add('Mul', [dy, bell]), build.scalar(2 / Math.sqrt(Math.PI), dy)]);
  }, 10),
  Sign: operator({ infer: sameType, gradient: 'not differentiable' }),
  Floor: operator({ infer: sameType, gradient: 'not differentiable' }),
  Ceil: operator({ infer: sameType, gradient: 'not differentiable' }),
  Not: operator({ infer: sameType, gradient: 'not differentiable' }),
};
