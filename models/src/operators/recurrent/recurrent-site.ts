/** What LSTM, GRU and RNN have in common: https://onnx.ai/onnx/operators/onnx__LSTM.html, onnx__GRU.html, onnx__RNN.html */
import type { Dimension } from '../../graph/graph.js';
import type { GraphBuilder } from '../graph-builder.js';
import type { GradientSite, Known, Site } from '../operator.js';
import { fixedSize, inputOf, intOf, malformed, gradientMissing, shapeOf, stringOf } from '../site.js';

export interface Sizes {
  readonly directions: 1 | 2;
  readonly steps: Dimension;
  readonly batch: Dimension;
  readonly hidden: number;
  readonly batchFirst: boolean;
}

export function sizesOf(site: Site): Sizes {
  const { node } = site;
  const direction = stringOf(node, 'direction', 'forward');
  if (!['forward', 'reverse', 'bidirectional'].includes(direction))
    throw malformed(node, `has direction '${direction}'`);
  const x = shapeOf(site, 0);
  if (x.length !== 3) throw malformed(node, `takes a sequence of rank ${x.length}, expected 3`);
  const batchFirst = intOf(node, 'layout', 0) === 1;
  const [first = 1, second = 1] = x;
  return {
    directions: direction === 'bidirectional' ? 2 : 1,
    steps: batchFirst ? second : first,
    batch: batchFirst ? first : second,
    hidden: fixedSize(site, shapeOf(site, 2)[2], 'hidden size'),
    batchFirst,
  };
}

/** The states of all steps, [steps, directions, N, hidden], and `lasts` times the last one, [directions, N, hidden]. */
export const inferRecurrent =
  (lasts: number) =>
  (site: Site): Known[] => {
    const { dtype } = inputOf(site, 0);
    const { directions, steps, batch, hidden, batchFirst } = sizesOf(site);
    const all = batchFirst ? [batch, steps, directions, hidden] : [steps, directions, batch, hidden];
    const last = batchFirst ? [batch, directions, hidden] : [directions, batch, hidden];
    return [{ dtype, shape: all }, ...Array.from({ length: lasts }, () => ({ dtype, shape: last }))];
  };

/** Two operations for each weight, of W and R, and each step of each example. */
export function recurrentFlops(site: Site): number {
  const { steps, batch } = sizesOf(site);
  const count = (dimension: Dimension): number => (typeof dimension === 'number' ? dimension : 1);
  const weights = [1, 2].reduce((sum, place) => {
    return sum + shapeOf(site, place).reduce<number>((product, size) => product * count(size), 1);
  }, 0);
  return 2 * count(steps) * count(batch) * weights;
}

/** The activations of a node by name, in lower case; those of each direction must be the same. */
export function activationsOf({ node }: Site, defaults: readonly string[]): readonly string[] {
  const attribute = node.attributes['activations'];
  const names = attribute?.kind === 'strings' ? attribute.value.map((name) => name.toLowerCase()) : defaults;
  const own = names.slice(0, defaults.length);
  if (names.some((name, i) => name !== own[i % defaults.length]))
    throw gradientMissing(node, 'has other activations in its second direction, which has no gradient here');
  const unknown = own.find((name) => !['sigmoid', 'tanh', 'relu'].includes(name));
  if (unknown !== undefined) throw gradientMissing(node, `has activation ${unknown}, which has no gradient here`);
  return own;
}

const operators: Readonly<Record<string, string>> = { sigmoid: 'Sigmoid', tanh: 'Tanh', relu: 'Relu' };

export function activate(name: string, value: string, build: GraphBuilder): string {
  return build.add(operators[name] ?? 'Tanh', [value]);
}

/** The derivative at x from y = f(x). */
export function slopeOf(name: string, y: string, build: GraphBuilder): string {
  const one = build.scalar(1, y);
  if (name === 'sigmoid') return build.add('Mul', [y, build.add('Sub', [one, y])]);
  if (name === 'tanh') return build.add('Sub', [one, build.add('Mul', [y, y])]);
  const positive = build.add('Greater', [y, build.scalar(0, y)]);
  return build.add('Where', [positive, one, build.scalar(0, y)]);
}

/** Throws GRADIENT_MISSING for what has none here. */
export function checkDifferentiable(site: GradientSite): void {
  const { node } = site;
  if (intOf(node, 'layout', 0) === 1)
    throw gradientMissing(node, 'has its batch first (layout 1), which has no gradient here; transpose its input');
  if (node.attributes['clip'] !== undefined) throw gradientMissing(node, 'clips its gates, which has no gradient here');
  if (intOf(node, 'input_forget', 0) === 1)
    throw gradientMissing(node, 'couples its gates (input_forget), which has no gradient here');
}
