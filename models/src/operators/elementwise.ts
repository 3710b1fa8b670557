/** What rows of functions of one tensor, element by element, are made with. */
import type { Dimension } from '../graph/graph.js';
import type { GraphBuilder } from './graph-builder.js';
import { knownOf, mappedElements } from './known.js';
import { operator, type Known, type Operator, type Site } from './operator.js';
import { inputOf } from './site.js';

/** The type of the first input; the numbers are not followed. */
export function sameType(site: Site): Known[] {
  const { dtype, shape } = inputOf(site, 0);
  return [knownOf(dtype, shape)];
}

/** The shape of the first input in another element type. */
export const typed =
  (dtype: Known['dtype']) =>
  (site: Site): Known[] => [knownOf(dtype, inputOf(site, 0).shape)];

/** The type of the first input, with each of its numbers mapped where they are known. */
export const mappedType =
  (map: (element: Dimension) => Dimension | undefined) =>
  (site: Site): Known[] => {
    const { dtype, shape, elements } = inputOf(site, 0);
    return [knownOf(dtype, shape, mappedElements(elements, map))];
  };

export interface Values {
  /** Names of input, output and the gradient by the output. */
  readonly x: string;
  readonly y: string;
  readonly dy: string;
  readonly build: GraphBuilder;
  readonly site: Site;
}

/** A row from the local derivative: `derivative` returns the name of dx. */
export function elementwise(
  derivative: (values: Values) => string,
  flops = 1,
  infer: Operator['infer'] = sameType,
): Operator {
  const row = operator({
    infer,
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

/** A row of steps: constant between them, so the gradient is zero almost everywhere. */
export function steps(infer: Operator['infer'] = sameType): Operator {
  return operator({ infer, gradient: () => [] });
}

/** A row whose results are no real numbers. */
export function discrete(infer: Operator['infer'], flops = 1): Operator {
  const row = operator({ infer, gradient: 'not differentiable' });
  return { ...row, flops: (site, outputs) => flops * row.flops(site, outputs) };
}

/** (a op b) op c ..., and shorter names for what derivatives are made of. */
export const chain = (op: string, values: readonly string[], build: GraphBuilder): string =>
  values.slice(1).reduce((result, value) => build.add(op, [result, value]), values[0] ?? '');

export const square = (x: string, build: GraphBuilder): string => build.add('Mul', [x, x]);
