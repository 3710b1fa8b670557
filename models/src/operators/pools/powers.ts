/** Pools of the p-norm, y = (sum |x|^p)^(1/p): https://onnx.ai/onnx/operators/onnx__LpPool.html */
import type { GraphBuilder } from '../graph-builder.js';
import type { GradientSite } from '../operator.js';
import { intOf } from '../site.js';
import { fixedAxes, windowOf } from '../window.js';
import { spreadOverWindows } from './overlaps.js';

/** dx = sign(x) |x|^(p-1) s, where s sums dy y^(1-p) over the windows that hold x; 0 in a window of zeros. */
function powerGradient(site: GradientSite, build: GraphBuilder, sum: (value: string) => string): string[] {
  const [dy] = site.outputGradients;
  const [[x = ''], [y = '']] = [site.node.inputs, site.node.outputs];
  if (dy === undefined) return [];
  const p = intOf(site.node, 'p', 2);
  if (p === 1) return [build.add('Mul', [sum(dy), build.add('Sign', [x])])];
  const zero = build.scalar(0, y);
  const divisor = build.add('Where', [build.add('Equal', [y, zero]), build.scalar(1, y), y]);
  if (p === 2) return [build.add('Mul', [sum(build.add('Div', [dy, divisor])), x])];
  const share = build.add('Mul', [dy, build.add('Pow', [divisor, build.scalar(1 - p, y)])]);
  const power = build.add('Pow', [build.add('Abs', [x]), build.scalar(p - 1, x)]);
  return [build.add('Mul', [sum(share), build.add('Mul', [power, build.add('Sign', [x])])])];
}

export function lpPoolGradient(site: GradientSite, build: GraphBuilder): string[] {
  const axes = fixedAxes(site, windowOf(site));
  const [x = ''] = site.node.inputs;
  return powerGradient(site, build, (value) => spreadOverWindows(value, x, { axes, build }));
}

/** The one window is the plane. */
export function globalLpPoolGradient(site: GradientSite, build: GraphBuilder): string[] {
  return powerGradient(site, build, (value) => value);
}
