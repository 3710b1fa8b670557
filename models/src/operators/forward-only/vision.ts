/** Boxes, regions and grids: https://onnx.ai/onnx/operators/onnx__RoiAlign.html, onnx__Col2Im.html and their kin. */
import type { Dimension } from '../../graph/graph.js';
import { convOperators } from '../convolution/conv.js';
import { quotientOf, productOf, unknownSize } from '../dimension.js';
import { knownOf } from '../known.js';
import { movement, operator, type Known, type Operator, type OperatorRows, type Site } from '../operator.js';
import { axisOf, inputOf, intOf, intsOf, shapeOf } from '../site.js';

/** The sizes that an input holds, or `count` symbols where they are known when it ran. */
function sizesAt(site: Site, index: number, count: number): readonly Dimension[] {
  const unknown = Array.from({ length: count }, (_, i) => unknownSize(site.node.name, `size.${i}`));
  return site.inputs[index]?.elements ?? unknown;
}

/** A grid of places: a batch of the last axis's size for each place of an image. */
function inferAffineGrid(site: Site): Known[] {
  const [batch = 1, axes = 2] = shapeOf(site, 0);
  const count = typeof axes === 'number' ? axes : 2;
  const [, , ...image] = sizesAt(site, 1, count + 2);
  return [knownOf(inputOf(site, 0).dtype, [batch, ...image, count])];
}

function inferCropPad(site: Site): Known[] {
  const shape = shapeOf(site, 0);
  const axes = (intsOf(site.node, 'axes') ?? [...shape.keys()]).map((axis) => axisOf(site.node, axis, shape.length));
  const sizes = sizesAt(site, 1, axes.length);
  const sized = axes.reduce<readonly Dimension[]>((all, axis, i) => all.with(axis, sizes[i] ?? 1), shape);
  return [knownOf(inputOf(site, 0).dtype, sized)];
}

function inferCol2Im(site: Site): Known[] {
  const [batch = 1, columns = 1] = shapeOf(site, 0);
  const rank = Number(inputOf(site, 1).shape?.[0] ?? 2);
  const block = productOf(sizesAt(site, 2, rank));
  const channels = quotientOf(columns, block) ?? unknownSize(site.node.name, 'channels');
  return [knownOf(inputOf(site, 0).dtype, [batch, channels, ...sizesAt(site, 1, rank)])];
}

/** The inverse of a pooling window, unless the sizes are given. */
function inferUnpool(site: Site): Known[] {
  const { dtype } = inputOf(site, 0);
  const shape = shapeOf(site, 0);
  if (site.inputs[2] !== undefined) return [knownOf(dtype, sizesAt(site, 2, shape.length))];
  const kernel = intsOf(site.node, 'kernel_shape') ?? [];
  const [strides, pads] = [intsOf(site.node, 'strides'), intsOf(site.node, 'pads')];
  const sizes = kernel.map((taps, i) => {
    const size = shape[i + 2] ?? 1;
    const pad = (pads?.[i] ?? 0) + (pads?.[i + kernel.length] ?? 0);
    return typeof size === 'number'
      ? (size - 1) * (strides?.[i] ?? 1) - pad + taps
      : unknownSize(site.node.name, `size.${i}`);
  });
  return [knownOf(dtype, [...shape.slice(0, 2), ...sizes])];
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
  AffineGrid: operator({ infer: inferAffineGrid, gradient: 'not yet' }),
  CenterCropPad: movement({ infer: inferCropPad, gradient: 'not yet' }),
  Col2Im: operator({ infer: inferCol2Im, gradient: 'not yet' }),
  DeformConv: operator({ infer: inferDeformed, gradient: 'not yet' }),
  ImageDecoder: operator({
    infer: ({ node }) => [knownOf('uint8', [unknownSize(node.name, 'height'), unknownSize(node.name, 'width'), 3])],
    gradient: 'not differentiable',
  }),
  MaxRoiPool: regions(({ node }) => intsOf(node, 'pooled_shape') ?? []),
  MaxUnpool: movement({ infer: inferUnpool, gradient: 'not yet' }),
  NonMaxSuppression: operator({
    infer: ({ node }) => [knownOf('int64', [unknownSize(node.name, 'boxes'), 3])],
    gradient: 'not differentiable',
  }),
  RoiAlign: regions(({ node }) => [intOf(node, 'output_height', 1), intOf(node, 'output_width', 1)]),
};
