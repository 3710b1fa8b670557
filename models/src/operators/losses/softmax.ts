/** Softmax and its kin along one axis: https://onnx.ai/onnx/operators/onnx__Softmax.html */
import { sameType } from '../elementwise.js';
import type { GraphBuilder } from '../graph-builder.js';
import { operator, sizeOf, type GradientSite, type Known, type OperatorRows, type Site } from '../operator.js';
import { axisOf, intOf, shapeOf } from '../site.js';

function sumAlong(site: GradientSite, value: string, build: GraphBuilder): string {
  const axis = axisOf(site.node, intOf(site.node, 'axis', -1), shapeOf(site, 0).length);
  return build.add('ReduceSum', [value, build.ints([axis])], { keepdims: 1 });
}

/** p = dy y; dx = p - y sum p */
function softmaxGradient(site: GradientSite, build: GraphBuilder): string[] {
  const [dy] = site.outputGradients;
  const [y = ''] = site.node.outputs;
  if (dy === undefined) return [];
  const p = build.add('Mul', [dy, y]);
  return [build.add('Sub', [p, build.add('Mul', [y, sumAlong(site, p, build)])])];
}

/** dx = dy - exp(y) sum dy */
function logSoftmaxGradient(site: GradientSite, build: GraphBuilder): string[] {
  const [dy] = site.outputGradients;
  const [y = ''] = site.node.outputs;
  if (dy === undefined) return [];
  return [build.add('Sub', [dy, build.add('Mul', [build.add('Exp', [y]), sumAlong(site, dy, build)])])];
}

const flops = (_: Site, [y]: readonly Known[]): number => 12 * sizeOf(y);

export const softmaxOperators: OperatorRows = {
  Softmax: operator({ infer: sameType, gradient: softmaxGradient, flops }),
  LogSoftmax: operator({ infer: sameType, gradient: logSoftmaxGradient, flops }),
  Hardmax: operator({ infer: sameType, gradient: 'not differentiable' }),
};
