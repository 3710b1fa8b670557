/** The gradient of an average over windows: https://onnx.ai/onnx/operators/onnx__AveragePool.html */
import { floats, type GraphBuilder } from '../graph-builder.js';
import type { GradientSite } from '../operator.js';
import { intOf } from '../site.js';
import { fixedAxes, windowOf, type FixedAxis } from '../window.js';
import { spreadOverWindows } from './overlaps.js';

/** Elements that the window at each place of an axis averaged: never what lies behind the padding (ceil_mode). */
function counts({ output, kernel, stride, dilation, begin, input, end }: FixedAxis, countPadding: boolean): number[] {
  return Array.from({ length: output }, (_, place) =>
    Array.from({ length: kernel }, (__, tap) => place * stride + tap * dilation - begin).reduce((count, at) => {
      const inside = countPadding ? at < input + end : at >= 0 && at < input;
      return inside ? count + 1 : count;
    }, 0),
  );
}

/** The gradient over the number of elements that each window averaged. */
function shares(site: GradientSite, dy: string, build: GraphBuilder): string {
  const axes = fixedAxes(site, windowOf(site));
  const countPadding = intOf(site.node, 'count_include_pad', 0) === 1;
  const perAxis = axes.map((axis) => counts(axis, countPadding));
  const even = perAxis.every((each) => each.every((count) => count === each[0]));
  const product = perAxis.reduce((all, each) => all.flatMap((a) => each.map((b) => a * b)), [1]);
  const factors = product.map((count) => 1 / Math.max(1, count));
  if (even) return build.add('Mul', [dy, build.scalar(factors[0] ?? 1, dy)]);
  const shape = [1, 1, ...axes.map(({ output }) => output)];
  return build.add('Mul', [dy, build.constant(floats(build.typeOf(dy).dtype, shape, factors))]);
}

/** Each element gets the share of every window that covered it. */
export function averageGradient(site: GradientSite, build: GraphBuilder): string[] {
  const [dy] = site.outputGradients;
  const [x = ''] = site.node.inputs;
  if (dy === undefined) return [];
  return [spreadOverWindows(shares(site, dy, build), x, { axes: fixedAxes(site, windowOf(site)), build })];
}
