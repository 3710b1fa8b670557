/** Boxes and regions: https://onnx.ai/onnx/operators/onnx__RoiAlign.html and its kin. */
import type { Dimension } from '../../graph/graph.js';
import { convOperators } from '../convolution/conv.js';
import { unknownSize } from '../dimension.js';
import { knownOf } from '../known.js';
import { movement, operator, type Known, type Operator, type OperatorRows, type Site } from '../operator.js';
import { axisOf, inputOf, intOf, intsOf, shapeOf } from '../site.js';

/** The sizes that an input holds, or `count` symbols where they are known when it ran. */
function sizesAt(site: Site, index: number, count: number): readonly Dimension[] {
  const unknown = Array.from({ length: count }, (_, i) => unknownSize(site.node.name, `size.${i}`));
  return site.inputs[index]?.elements ?? unknown;
}

function inferCropPad(site: Site): Known[] {
  const shape = shapeOf(site, 0);
  const axes = (intsOf(site.node, 'axes') ?? [...shape.keys()]).map((axis) => axisOf(site.node, axis, shape.length));
  const sizes = sizesAt(site, 1, axes.length);
  const sized = axes.reduce<readonly Dimension[]>((all, axis, i) => all.with(axis, sizes[i] ?? 1), shape);
  return [knownOf(inputOf(site, 0).dtype, sized)];
}

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
  CenterCropPad: movement({ infer: inferCropPad, gradient: 'not yet' }),
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
