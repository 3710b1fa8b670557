/** Elements and slices written by their indices: https://onnx.ai/onnx/operators/onnx__ScatterElements.html, onnx__ScatterND.html */
import { maskOf } from '../broadcast.js';
import { sameType } from '../elementwise.js';
import type { Attributes, GraphBuilder } from '../graph-builder.js';
import { zerosLike } from '../indexing.js';
import { movement, type GradientSite, type Operator, type OperatorRows } from '../operator.js';
import { intOf, stringOf } from '../site.js';

/** How updates are written to the places of indices and read from there. */
interface Places {
  readonly scatter: (data: string, updates: string, reduction: string) => string;
  readonly gather: (data: string) => string;
}

interface Scattered extends Places {
  readonly data: string;
  readonly updates: string;
  readonly y: string;
  readonly dy: string;
  readonly build: GraphBuilder;
}

/** The gradients by data and by updates, each made only where it is wanted. */
type Parts = (values: Scattered) => readonly [() => string, () => string];

/** What was overwritten has no influence. Of several updates of one place the last counts; all get its gradient. */
const replaced: Parts = ({ dy, updates, scatter, gather, build }) => [
  () => scatter(dy, zerosLike(updates, build), 'none'),
  () => gather(dy),
];

const added: Parts = ({ dy, gather }) => [() => dy, () => gather(dy)];

/** dy times the product of the other factors: of two or more zeros of a place none matters, of one only that one. */
const multiplied: Parts = ({ data, updates, dy, scatter, gather, build }) => {
  const one = (like: string): string => build.scalar(1, like);
  const isZero = (value: string): string => build.add('Equal', [value, build.scalar(0, value)]);
  const nonZero = (value: string): string => build.add('Where', [isZero(value), one(value), value]);
  const byData = (): string => {
    const ones = build.add('Add', [zerosLike(data, build), one(data)]);
    return build.add('Mul', [dy, scatter(ones, updates, 'mul')]);
  };
  const byUpdates = (): string => {
    const zero = (value: string): string => maskOf(isZero(value), dy, build);
    const product = build.add('Mul', [dy, scatter(nonZero(data), nonZero(updates), 'mul')]);
    const zeros = gather(scatter(zero(data), zero(updates), 'add'));
    const counted = maskOf(build.add('Equal', [zeros, zero(updates)]), dy, build);
    return build.add('Mul', [build.add('Div', [gather(product), nonZero(updates)]), counted]);
  };
  return [byData, byUpdates];
};

/** To what was taken, in equal shares as in PyTorch. */
const extreme: Parts = ({ data, updates, y, dy, scatter, gather, build }) => {
  const kept = maskOf(build.add('Equal', [data, y]), dy, build);
  const taken = maskOf(build.add('Equal', [updates, gather(y)]), dy, build);
  const share = build.add('Div', [dy, scatter(kept, taken, 'add')]);
  return [() => build.add('Mul', [share, kept]), () => build.add('Mul', [gather(share), taken])];
};

const partsOf: Readonly<Record<string, Parts>> = {
  none: replaced,
  add: added,
  mul: multiplied,
  max: extreme,
  min: extreme,
};

const scatter = (placesOf: (site: GradientSite, build: GraphBuilder) => Places): Operator =>
  movement({
    infer: sameType,
    gradient: (site, build) => {
      const [dy] = site.outputGradients;
      const [data = '', , updates = ''] = site.node.inputs;
      const [y = ''] = site.node.outputs;
      const parts = partsOf[stringOf(site.node, 'reduction', 'none')];
      if (dy === undefined || parts === undefined) return [];
      const [byData, byUpdates] = parts({ ...placesOf(site, build), data, updates, y, dy, build });
      return [site.wants(0) ? byData() : undefined, undefined, site.wants(2) ? byUpdates() : undefined];
    },
  });

/** Reading and writing by one pair of operators. */
const pair =
  ([read, write]: readonly [string, string], attributesOf: (site: GradientSite) => Attributes) =>
  (site: GradientSite, build: GraphBuilder): Places => {
    const [, indices = ''] = site.node.inputs;
    const attributes = attributesOf(site);
    return {
      scatter: (data, updates, reduction) => build.add(write, [data, indices, updates], { ...attributes, reduction }),
      gather: (data) => build.add(read, [data, indices], attributes),
    };
  };

export const scatterOperators: OperatorRows = {
  ScatterElements: scatter(
    pair(['GatherElements', 'ScatterElements'], ({ node }) => ({ axis: intOf(node, 'axis', 0) })),
  ),
  ScatterND: scatter(pair(['GatherND', 'ScatterND'], () => ({}))),
};
