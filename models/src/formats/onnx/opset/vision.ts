/** Boxes, regions and grids. RoiAlign moved its pixels by a half in 16; the old meaning is one of its modes. */
import type { Node } from '../../../graph/graph.js';
import type { Family } from './history.js';

export const vision: Family = {
  AffineGrid: { versions: [20] },
  CenterCropPad: { versions: [18] },
  Col2Im: { versions: [18] },
  DeformConv: { versions: [19, 22] },
  ImageDecoder: { versions: [20] },
  MaxRoiPool: { versions: [1, 22] },
  MaxUnpool: { versions: [9, 11, 22] },
  NonMaxSuppression: { versions: [10, 11] },
  RoiAlign: { versions: [10, 16, 22], into: { 16: withoutHalfPixel } },
};

function withoutHalfPixel(node: Node): Node[] {
  const mode = { kind: 'string', value: 'output_half_pixel' } as const;
  return [{ ...node, attributes: { ...node.attributes, coordinate_transformation_mode: mode } }];
}
