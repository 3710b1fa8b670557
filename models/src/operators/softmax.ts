/** Softmax and its logarithm along one axis: https://onnx.ai/onnx/operators/onnx__Softmax.html */
import { sameType } from './elementwise.js';
import { operator, sizeOf, type GradientSite, type OperatorRows } from './operator.js';
import { axisOf, intOf, shapeOf } from './site.js';

const axisIn = (site: GradientSite): number => axisOf(site.node, intOf(site.node, 'axis', -1), shapeOf(site, 0).length);

export const softmaxOperators: OperatorRows = {
  /** p = dy y; dx = p - y sum p */
  Softmax: operator({
    infer: sameType,
    gradient: (site, build) => {
      const [dy] = site.outputGradients;
      const [y = ''] = site.node.outputs;
      if (dy === undefined) return [];
      const p = build.add('Mul', [dy, y]);
      const sum = build.add('ReduceSum', [p, build.ints([axisIn(site)])], { keepdims: 1 });
      return [build.add('Sub', [p, build.add('Mul', [y, sum])])];
    },
    flops: (_, [y]) => 12 * sizeOf(y),
  }),
  /** dx = dy - exp(y) sum dy */
  LogSoftmax: operator({
    infer: sameType,
    gradient: (site, build) => {
      const [dy] = site.outputGradients;
      const [y = ''] = site.node.outputs;
      if (dy === undefined) return [];
      const sum = build.add('ReduceSum', [dy, build.ints([axisIn(site)])], { keepdims: 1 });
      return [build.add('Sub', [dy, build.add('Mul', [build.add('Exp', [y]), sum])])];
    },
    flops: (_, [y]) => 12 * sizeOf(y),
  }),
};
