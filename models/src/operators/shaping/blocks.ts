/** Channels against blocks of places, and other fixed rearrangements: https://onnx.ai/onnx/operators/onnx__DepthToSpace.html */
import type { Dimension } from '../../graph/graph.js';
import { floorQuotientOf, productOf, unknownSize } from '../dimension.js';
import { sameType } from '../elementwise.js';
import type { GraphBuilder } from '../graph-builder.js';
import { knownOf } from '../known.js';
import { movement, type GradientSite, type Known, type OperatorRows, type Site } from '../operator.js';
import { axisOf, fixedSize, inputOf, intOf, intsOf, malformed, shapeOf, sizesOf, stringOf } from '../site.js';

function blockOf({ node }: Site): number {
  const block = intOf(node, 'blocksize', 1);
  if (block < 1) throw malformed(node, `has blocks of ${block}, expected at least 1`);
  return block;
}

/** [N, C, H, W] with one more block of places or of channels; `spread` says which. */
const inferBlocks =
  (spread: (block: number, sizes: { channels: Dimension; places: Dimension[] }) => Dimension[]) =>
  (site: Site): Known[] => {
    const { dtype, shape } = inputOf(site, 0);
    if (shape === undefined) return [knownOf(dtype, undefined)];
    const [batch, channels, ...places] = shape;
    if (batch === undefined || channels === undefined || places.length !== 2)
      throw malformed(site.node, `takes tensors of rank 4, not ${shape.length}`);
    return [knownOf(dtype, [batch, ...spread(blockOf(site), { channels, places })])];
  };

/**
 * The inverse as it stands, but for the order of channels: SpaceToDepth puts the place in the block first (mode DCR),
 * mode CRD has the channel first.
 */
function depthToSpaceGradient(site: GradientSite, build: GraphBuilder): string[] {
  const [dy] = site.outputGradients;
  if (dy === undefined) return [];
  const block = blockOf(site);
  const deep = build.add('SpaceToDepth', [dy], { blocksize: block });
  if (stringOf(site.node, 'mode', 'DCR') === 'DCR') return [deep];
  const all = fixedSize(site, shapeOf(site, 0)[1], 'number of channels');
  const [area, channels] = [block * block, all / (block * block)];
  const order = Array.from({ length: all }, (_, i) => (i % area) * channels + Math.floor(i / area));
  return [build.add('Gather', [deep, build.ints(order)], { axis: 1 })];
}

function inferCenterCropPad(site: Site): Known[] {
  const { dtype, shape } = inputOf(site, 0);
  if (shape === undefined) return [knownOf(dtype, undefined)];
  const axes = (intsOf(site.node, 'axes') ?? [...shape.keys()]).map((axis) => axisOf(site.node, axis, shape.length));
  const elements = sizesOf(site, 1);
  const sized = (size: Dimension, axis: number): Dimension => {
    const index = axes.indexOf(axis);
    return index < 0 ? size : (elements?.[index] ?? unknownSize(site.node.name, `axis${axis}`));
  };
  return [knownOf(dtype, shape.map(sized))];
}

/** What was cut off comes back as zeros and what was added goes, in the middle again. */
function centerCropPadGradient(site: GradientSite, build: GraphBuilder): string[] {
  const [dy] = site.outputGradients;
  const [x = ''] = site.node.inputs;
  if (dy === undefined) return [];
  const axes = intsOf(site.node, 'axes');
  const shape = build.add('Shape', [x]);
  if (axes === undefined) return [build.add('CenterCropPad', [dy, shape])];
  const positive = axes.map((axis) => axisOf(site.node, axis, shapeOf(site, 0).length));
  return [build.add('CenterCropPad', [dy, build.add('Gather', [shape, build.ints(positive)])], { axes: positive })];
}

export const blockOperators: OperatorRows = {
  CenterCropPad: movement({ infer: inferCenterCropPad, gradient: centerCropPadGradient }),
  DepthToSpace: movement({
    infer: inferBlocks((block, { channels, places }) => [
      floorQuotientOf(channels, block * block),
      ...places.map((size) => productOf([size, block])),
    ]),
    gradient: depthToSpaceGradient,
  }),
  SpaceToDepth: movement({
    infer: inferBlocks((block, { channels, places }) => [
      productOf([channels, block * block]),
      ...places.map((size) => floorQuotientOf(size, block)),
    ]),
    gradient: (site, build) => {
      const [dy] = site.outputGradients;
      return dy === undefined ? [] : [build.add('DepthToSpace', [dy], { blocksize: blockOf(site), mode: 'DCR' })];
    },
  }),
  /** Its own inverse. */
  ReverseSequence: movement({
    infer: sameType,
    gradient: ({ node, outputGradients: [dy] }, build) => {
      const axes = { batch_axis: intOf(node, 'batch_axis', 1), time_axis: intOf(node, 'time_axis', 0) };
      return dy === undefined ? [] : [build.add('ReverseSequence', [dy, node.inputs[1] ?? ''], axes)];
    },
  }),
  /** Keeps one triangle of each matrix, of the gradient too. */
  Trilu: movement({
    infer: sameType,
    gradient: ({ node, outputGradients: [dy] }, build) => {
      const [, diagonal = ''] = node.inputs;
      const inputs = (first: string): string[] => (diagonal === '' ? [first] : [first, diagonal]);
      return dy === undefined ? [] : [build.add('Trilu', inputs(dy), { upper: intOf(node, 'upper', 1) })];
    },
  }),
};
