/** Boxes and regions: https://onnx.ai/onnx/operators/onnx__RoiAlign.html and its kin. */
import type { Dimension } from '../../graph/graph.js';
import { convOperators } from '../convolution/conv.js';
import { unknownSize } from '../dimension.js';
import { knownOf } from '../known.js';
import { operator, type Known, type Operator, type OperatorRows, type Site } from '../operator.js';
import { inputOf, intOf, intsOf, shapeOf } from '../site.js';

function regions(sizes: (site: Site) => readonly Dimension[]): Operator {
  return operator({
    infer: (site) => {
      const [, channels = 1] = shapeOf(site, 0);
      const [count = 1] = shapeOf(site, 1);
      return [knownOf(inputOf(site, 0).dtype, [count, channels, ...sizes(site)])];
    },
    gradient: 'not yet',
  });
}

function inferDeformed({ node, inputs }: Site): Known[] {
  return [...(convOperators.Conv?.infer({ node, inputs: inputs.slice(0, 2) }) ?? [])];
}

export const visionOperators: OperatorRows = {
  DeformConv: operator({ infer: inferDeformed, gradient: 'not yet' }),
  ImageDecoder: operator({
    infer: ({ node }) => [knownOf('uint8', [unknownSize(node.name, 'height'), unknownSize(node.name, 'width'), 3])],
    gradient: 'not differentiable',
  }),
  MaxRoiPool: regions(({ node }) => intsOf(node, 'pooled_shape') ?? []),
  NonMaxSuppression: operator({
    infer: ({ node }) => [knownOf('int64', [unknownSize(node.name, 'boxes'), 3])],
    gradient: 'not differentiable',
  }),
  RoiAlign: regions(({ node }) => [intOf(node, 'output_height', 1), intOf(node, 'output_width', 1)]),
};
