/** Upsample became Resize in 10; in 11 Resize got the options that say where a pixel lies, and the old meaning is one of them. */
import type { Node } from '../../../graph/graph.js';
import { attribute, cannotConvert, float32s, without } from './attributes.js';
import { scalesOfBoth } from './early.js';
import type { ConversionContext, Family } from './history.js';

export const resize: Family = {
  GridSample: { versions: [16, 20, 22], into: { 20: modeNames } },
  Resize: { versions: [10, 11, 13, 18, 19], into: { 11: explicitCoordinates, 13: withoutTensorflowPixels } },
  Upsample: { versions: [1, 7, 9, 10], into: { 7: scalesOfBoth, 9: scalesAsInput, 10: asResize } },
};

function scalesAsInput(node: Node, context: ConversionContext): Node[] {
  const scales = context.addConstant(`${node.name}.scales`, float32s(attribute(node, 'scales', 'floats') ?? []));
  return [{ ...node, inputs: [...node.inputs, scales], attributes: without(node, 'scales') }];
}

/** Scales of Upsample are 1 or more, for which runtimes agree that 'nearest' is the pixel before. */
function asResize(node: Node): Node[] {
  return [
    { ...node, op: 'Resize', attributes: { ...node.attributes, nearest_mode: { kind: 'string', value: 'floor' } } },
  ];
}

/** Version 10: x_original = x / scale; 'nearest' is not defined for a scale that is not whole, runtimes differ there. */
function explicitCoordinates(node: Node, context: ConversionContext): Node[] {
  const [input = '', scales = ''] = node.inputs;
  const mode = attribute(node, 'mode', 'string') ?? 'nearest';
  const values = context.constant(scales);
  const whole = values?.dtype === 'float32' && values.data.every((scale) => Number.isInteger(scale));
  const floor = attribute(node, 'nearest_mode', 'string') === 'floor';
  if (mode === 'nearest' && !whole && !floor) {
    throw cannotConvert(node, 'nearest with scales that are computed or not whole was not defined before opset 11');
  }
  const attributes = {
    mode: { kind: 'string', value: mode },
    coordinate_transformation_mode: { kind: 'string', value: 'asymmetric' },
    ...(mode === 'nearest' ? { nearest_mode: { kind: 'string', value: 'floor' } as const } : {}),
  } as const;
  return [{ ...node, inputs: [input, '', scales], attributes }];
}

function withoutTensorflowPixels(node: Node): Node[] {
  if (attribute(node, 'coordinate_transformation_mode', 'string') === 'tf_half_pixel_for_nn') {
    throw cannotConvert(node, 'tf_half_pixel_for_nn was removed in opset 13');
  }
  return [node];
}

/** GridSample 20 renamed two modes. */
function modeNames(node: Node): Node[] {
  const mode = attribute(node, 'mode', 'string') ?? 'bilinear';
  const value = { bilinear: 'linear', bicubic: 'cubic' }[mode] ?? mode;
  return [{ ...node, attributes: { ...node.attributes, mode: { kind: 'string', value } } }];
}
