/** Operators that move, cut and join. What was an attribute became an input, so that it can be computed. */
import type { Node } from '../../../graph/graph.js';
import { attribute, cannotConvert, floatAsInput, intsAsInput, trimmed, without } from './attributes.js';
import { explicitAxis, partsAsAttribute, renamedPads, repeatsOfAllAxes, shapeAsInput, typeByNumber } from './early.js';
import type { ConversionContext, Family } from './history.js';
import { Steps } from './steps.js';

export const shape: Family = {
  Constant: { versions: [1, 9, 11, 12, 13, 19, 21, 23, 24, 25] },
  Det: { versions: [11, 22] },
  EyeLike: { versions: [9, 22] },
  ReverseSequence: { versions: [10] },
  Unique: { versions: [11] },
  Cast: { versions: [1, 6, 9, 13, 19, 21, 23, 24, 25], laterAttributes: ['round_mode'], into: { 6: typeByNumber } },
  CastLike: { versions: [15, 19, 21, 23, 24, 25], laterAttributes: ['round_mode'] },
  Compress: { versions: [9, 11] },
  Concat: { versions: [1, 4, 11, 13], into: { 4: explicitAxis } },
  ConstantOfShape: { versions: [9, 20, 21, 23, 24, 25] },
  DepthToSpace: { versions: [1, 11, 13] },
  Expand: { versions: [8, 13] },
  Flatten: { versions: [1, 9, 11, 13, 21, 23, 24, 25] },
  Gather: { versions: [1, 11, 13] },
  GatherElements: { versions: [11, 13] },
  GatherND: { versions: [11, 12, 13] },
  Identity: { versions: [1, 13, 14, 16, 19, 21, 23, 24, 25] },
  NonZero: { versions: [9, 13] },
  OneHot: { versions: [9, 11] },
  Pad: {
    versions: [1, 2, 11, 13, 18, 19, 21, 23, 24, 25],
    into: { 2: renamedPads, 11: padsAsInputs },
    plain: amountsOfAllAxes,
  },
  Range: { versions: [11] },
  Reshape: { versions: [1, 5, 13, 14, 19, 21, 23, 24, 25], into: { 5: shapeAsInput } },
  Scatter: { versions: [9, 11], into: { 11: scatterElements } },
  ScatterElements: { versions: [11, 13, 16, 18] },
  ScatterND: { versions: [11, 13, 16, 18] },
  Shape: { versions: [1, 13, 15, 19, 21, 23, 24, 25] },
  Size: { versions: [1, 13, 19, 21, 23, 24, 25] },
  Slice: { versions: [1, 10, 11, 13], into: { 10: rangesAsInputs } },
  SpaceToDepth: { versions: [1, 13] },
  Split: { versions: [1, 2, 11, 13, 18], into: { 2: partsAsAttribute, 13: partsAsInput, 18: countedParts } },
  Squeeze: { versions: [1, 11, 13, 21, 23, 24, 25], into: { 13: axesAsInput } },
  Tile: { versions: [1, 6, 13], into: { 6: repeatsOfAllAxes } },
  Transpose: { versions: [1, 13, 21, 23, 24, 25] },
  Trilu: { versions: [14] },
  Unsqueeze: { versions: [1, 11, 13, 21, 23, 24, 25], into: { 13: axesAsInput } },
};

function axesAsInput(node: Node, context: ConversionContext): Node[] {
  const inputs = trimmed([...node.inputs, intsAsInput(node, 'axes', context)]);
  return [{ ...node, inputs, attributes: without(node, 'axes') }];
}

function rangesAsInputs(node: Node, context: ConversionContext): Node[] {
  const starts = attribute(node, 'starts', 'ints');
  const ends = attribute(node, 'ends', 'ints');
  if (starts === undefined || starts.length !== ends?.length)
    throw cannotConvert(node, 'starts and ends must be of one length');
  // The attribute left out means the first axes in order, and so does the input.
  const ranges = ['starts', 'ends', 'axes'].map((name) => intsAsInput(node, name, context));
  return [
    { ...node, inputs: trimmed([...node.inputs, ...ranges]), attributes: without(node, 'starts', 'ends', 'axes') },
  ];
}

function padsAsInputs(node: Node, context: ConversionContext): Node[] {
  const mode = attribute(node, 'mode', 'string') ?? 'constant';
  const value = mode === 'constant' ? floatAsInput(node, 'value', context) : '';
  const inputs = trimmed([...node.inputs, intsAsInput(node, 'pads', context), value]);
  return [{ ...node, inputs, attributes: without(node, 'pads', 'value') }];
}

function partsAsInput(node: Node, context: ConversionContext): Node[] {
  const inputs = trimmed([...node.inputs, intsAsInput(node, 'split', context)]);
  return [{ ...node, inputs, attributes: without(node, 'split') }];
}

/** Since 18 equal parts must be counted. */
function countedParts(node: Node): Node[] {
  if ((node.inputs[1] ?? '') !== '') return [node];
  return [{ ...node, attributes: { ...node.attributes, num_outputs: { kind: 'int', value: node.outputs.length } } }];
}

/** The same operator under a new name: https://onnx.ai/onnx/operators/onnx__Scatter.html */
function scatterElements(node: Node): Node[] {
  return [{ ...node, op: 'ScatterElements' }];
}

/**
 * Amounts of some axes as amounts of all: ONNX Runtime 1.30 moves a Transpose past a Pad and then takes the amounts of
 * `axes` for those of every axis.
 */
function amountsOfAllAxes(node: Node, context: ConversionContext): Node[] {
  const [x = '', amounts = '', value = '', axes = ''] = node.inputs;
  const [rank, given] = [context.rank(x), context.constant(axes)];
  if (rank === undefined || given === undefined) return [node];
  const padded = Array.from(given.data as Iterable<number | bigint>, (axis) => (Number(axis) + rank) % rank);
  const all = [...padded, ...padded.map((axis) => axis + rank)];
  const order = Array.from({ length: 2 * rank }, (_, i) => all.indexOf(i));
  const known = context.constant(amounts);
  const steps = new Steps(node, context);
  if (known !== undefined) {
    const numbers = Array.from(known.data as Iterable<number | bigint>, Number);
    const spread = order.map((place) => numbers[place] ?? 0);
    return [{ ...node, inputs: trimmed([x, steps.ints('amounts', spread), value]) }];
  }
  const places = order.map((place) => (place < 0 ? all.length : place));
  const withNone = steps.add('Concat', [amounts, steps.ints('none', [0])], { axis: 0 });
  const spread = steps.add('Gather', [withNone, steps.ints('places', places)], { axis: 0 });
  return [...steps.nodes, { ...node, name: `${node.name}/pad`, inputs: trimmed([x, spread, value]) }];
}
