/** For specs: the cases of softmax and its kin whose gradients are compared, and their float64 references. */
import { make, none, pick, sum, type Array64, type References } from '../array64.contract.js';
import type { GradientCase } from '../central-differences.contract.js';
import { intOf } from '../site.js';
import type { Node } from '../../graph/graph.js';

export const softmaxCases: readonly GradientCase[] = ['Softmax', 'LogSoftmax'].flatMap((op) => [
  { op, shapes: [[2, 3, 5]] },
  { op, shapes: [[2, 3, 5]], attributes: { axis: 1 } },
  { op, shapes: [[4, 3]], attributes: { axis: 0 } },
  { op, shapes: [[2, 2, 3, 3]], symbols: { 0: ['batch', 2, 'length', 'length'] } },
]);

/** exp(x) over its sum along the axis of the node. */
export function softmax(node: Node, x: Array64, otherwise = -1): Array64 {
  const axis = (intOf(node, 'axis', otherwise) + x.shape.length) % x.shape.length;
  return make(x.shape, (place) => {
    const line = Array.from({ length: x.shape[axis] ?? 0 }, (_, i) => Math.exp(pick(x, place.with(axis, i))));
    return Math.exp(pick(x, place)) / sum(line);
  });
}

export const softmaxReferences: References = {
  Softmax: (node, [x = none]) => softmax(node, x),
  LogSoftmax: (node, [x = none]) => {
    const { shape, data } = softmax(node, x);
    return { shape, data: data.map(Math.log) };
  },
};
