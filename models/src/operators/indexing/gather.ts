/** Elements and rows taken by their indices: https://onnx.ai/onnx/operators/onnx__Gather.html, onnx__GatherND.html */
import { reshapeTo } from '../broadcast.js';
import { unknownSize } from '../dimension.js';
import type { GraphBuilder } from '../graph-builder.js';
import { pad, zerosLike } from '../indexing.js';
import { knownNumbers, knownOf, movedElements, numericShape, indexOf } from '../known.js';
import { movement, type GradientSite, type Known, type OperatorRows, type Site } from '../operator.js';
import { axisOf, inputOf, intOf, malformed, shapeOf } from '../site.js';
import { overBatch } from './batch-points.js';
import { scatterRows } from './scatter-rows.js';

const axisIn = (site: Site): number => axisOf(site.node, intOf(site.node, 'axis', 0), shapeOf(site, 0).length);

function inferGather(site: Site): Known[] {
  const [from, indices] = [inputOf(site, 0), inputOf(site, 1)];
  if (from.shape === undefined || indices.shape === undefined) return [knownOf(from.dtype, undefined)];
  const axis = axisIn(site);
  const rank = indices.shape.length;
  const shape = [...from.shape.slice(0, axis), ...indices.shape, ...from.shape.slice(axis + 1)];
  const picked = knownNumbers(site, 1);
  const indexShape = numericShape(indices.shape) ?? [];
  const source = (place: readonly number[]): number[] => {
    const index = picked?.[indexOf(place.slice(axis, axis + rank), indexShape)] ?? NaN;
    return [
      ...place.slice(0, axis),
      index < 0 ? index + Number(from.shape?.[axis]) : index,
      ...place.slice(axis + rank),
    ];
  };
  return [knownOf(from.dtype, shape, picked && movedElements(from, shape, source))];
}

/** One row of known place comes back between zeros; other rows are added where they were taken from. */
function gatherGradient(site: GradientSite, build: GraphBuilder): string[] {
  const [dy] = site.outputGradients;
  const [x = '', indices = ''] = site.node.inputs;
  if (dy === undefined) return [];
  const axis = axisIn(site);
  const size = shapeOf(site, 0)[axis];
  const picked = knownNumbers(site, 1);
  const [only] = picked ?? [];
  if (picked?.length === 1 && only !== undefined && typeof size === 'number') {
    const rank = shapeOf(site, 1).length;
    const row = oneRow(dy, { axis, rank }, build);
    const before = only < 0 ? only + size : only;
    return [pad(row, [before, size - 1 - before], { axes: [axis], build })];
  }
  return [scatterRows({ rows: dy, indices, axis, like: x }, build)];
}

/** The axes of an index of one element, as one axis of size 1. */
function oneRow(dy: string, { axis, rank }: { axis: number; rank: number }, build: GraphBuilder): string {
  if (rank === 0) return build.add('Unsqueeze', [dy, build.ints([axis])]);
  if (rank === 1) return dy;
  return build.add('Squeeze', [dy, build.ints(Array.from({ length: rank - 1 }, (_, i) => axis + i))]);
}

function inferGatherElements(site: Site): Known[] {
  const from = inputOf(site, 0);
  const { shape } = inputOf(site, 1);
  if (from.shape !== undefined && shape !== undefined && from.shape.length !== shape.length)
    throw malformed(site.node, `takes from rank ${from.shape.length} by indices of rank ${shape.length}`);
  return [knownOf(from.dtype, shape)];
}

function inferGatherND(site: Site): Known[] {
  const from = inputOf(site, 0);
  const { shape: indices } = inputOf(site, 1);
  const depth = indices?.at(-1);
  if (from.shape === undefined || indices === undefined || typeof depth !== 'number')
    return [knownOf(from.dtype, undefined)];
  const batch = intOf(site.node, 'batch_dims', 0);
  if (batch + depth > from.shape.length)
    throw malformed(site.node, `takes by ${batch + depth} indices from rank ${from.shape.length}`);
  return [knownOf(from.dtype, [...indices.slice(0, -1), ...from.shape.slice(batch + depth)])];
}

/** Points get the place in the batch in front, where there is one. */
function gatherNDGradient(site: GradientSite, build: GraphBuilder): string[] {
  const [dy] = site.outputGradients;
  const [x = '', indices = ''] = site.node.inputs;
  if (dy === undefined) return [];
  const batch = intOf(site.node, 'batch_dims', 0);
  const points = overBatch(indices, batch, build);
  return [build.add('ScatterND', [zerosLike(x, build), points, dy], { reduction: 'add' })];
}

function inferCompress(site: Site): Known[] {
  const { dtype, shape } = inputOf(site, 0);
  const axis = site.node.attributes['axis'];
  const condition = knownNumbers(site, 1);
  const count = condition?.filter((each) => each !== 0).length ?? unknownSize(site.node.name, 'count');
  if (axis?.kind !== 'int') return [knownOf(dtype, [count])];
  return [knownOf(dtype, shape?.with(axisOf(site.node, axis.value, shape.length), count))];
}

/** The rows where the condition holds, as Gather takes them. */
function compressGradient(site: GradientSite, build: GraphBuilder): string[] {
  const [dy] = site.outputGradients;
  const [x = '', condition = ''] = site.node.inputs;
  if (dy === undefined) return [];
  const indices = build.add('Reshape', [build.add('NonZero', [condition]), build.ints([-1])]);
  if (site.node.attributes['axis']?.kind === 'int')
    return [scatterRows({ rows: dy, indices, axis: axisIn(site), like: x }, build)];
  const flat = build.add('Reshape', [x, build.ints([-1])]);
  const sum = scatterRows({ rows: dy, indices, axis: 0, like: flat }, build);
  return [reshapeTo(sum, shapeOf(site, 0), { like: x, build })];
}

export const gatherOperators: OperatorRows = {
  Compress: movement({ infer: inferCompress, gradient: compressGradient }),
  Gather: movement({ infer: inferGather, gradient: gatherGradient }),
  GatherElements: movement({
    infer: inferGatherElements,
    gradient: (site, build) => {
      const [dy] = site.outputGradients;
      const [x = '', indices = ''] = site.node.inputs;
      if (dy === undefined) return [];
      return [
        build.add('ScatterElements', [zerosLike(x, build), indices, dy], { axis: axisIn(site), reduction: 'add' }),
      ];
    },
  }),
  GatherND: movement({ infer: inferGatherND, gradient: gatherNDGradient }),
};
