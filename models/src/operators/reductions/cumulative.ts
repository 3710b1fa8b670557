/** Running sums, and the places of extremes: https://onnx.ai/onnx/operators/onnx__CumSum.html, onnx__ArgMax.html */
import { discrete, sameType } from '../elementwise.js';
import { knownOf } from '../known.js';
import { operator, sizeOf, type Known, type Operator, type OperatorRows, type Site } from '../operator.js';
import { axisOf, inputOf, intOf } from '../site.js';

function inferPlace(site: Site): Known[] {
  const { shape } = inputOf(site, 0);
  if (shape === undefined) return [{ dtype: 'int64' }];
  const axis = axisOf(site.node, intOf(site.node, 'axis', 0), shape.length);
  const keep = intOf(site.node, 'keepdims', 1) === 1;
  return [knownOf('int64', keep ? shape.with(axis, 1) : shape.toSpliced(axis, 1))];
}

const place: Operator = { ...discrete(inferPlace), flops: ({ inputs: [x] }) => sizeOf(x) };

export const cumulativeOperators: OperatorRows = {
  ArgMax: place,
  ArgMin: place,
  /** An element counts in all sums from it on, so its gradient is the sum from the other end. */
  CumSum: operator({
    infer: sameType,
    gradient: ({ node, outputGradients: [dy] }, build) => {
      const [, axis = ''] = node.inputs;
      const flags = { exclusive: intOf(node, 'exclusive', 0), reverse: 1 - intOf(node, 'reverse', 0) };
      return dy === undefined ? [] : [build.add('CumSum', [dy, axis], flags)];
    },
  }),
};
