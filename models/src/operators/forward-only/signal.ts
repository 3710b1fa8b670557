/** Fourier transforms and windows: https://onnx.ai/onnx/operators/onnx__DFT.html, onnx__STFT.html, onnx__HannWindow.html */
import { elementTypeOf } from '../../formats/onnx/data-types.js';
import type { Dimension } from '../../graph/graph.js';
import { differenceOf, floorQuotientOf, productOf, sumOf, unknownSize } from '../dimension.js';
import { knownOf } from '../known.js';
import { operator, type Known, type Operator, type OperatorRows, type Site } from '../operator.js';
import { axisOf, inputOf, intOf, shapeOf } from '../site.js';

/** The number that an input holds, or a symbol where it is known when it ran. */
function numberAt(site: Site, index: number, what: string): Dimension {
  return site.inputs[index]?.elements?.[0] ?? unknownSize(site.node.name, what);
}

/** Bins of a real signal: the others are their mirror. */
const halfOf = (length: Dimension): Dimension => sumOf([floorQuotientOf(length, 2), 1]);

const window: Operator = operator({
  infer: (site) => [
    knownOf(elementTypeOf(intOf(site.node, 'output_datatype', 1)) ?? 'float32', [numberAt(site, 0, 'size')]),
  ],
  gradient: 'not differentiable',
});

function inferDft(site: Site): Known[] {
  const { dtype } = inputOf(site, 0);
  const shape = shapeOf(site, 0);
  const axis = axisOf(site.node, Number(site.inputs[2]?.elements?.[0] ?? -2), shape.length);
  const onesided = intOf(site.node, 'onesided', 0) === 1;
  const inverse = intOf(site.node, 'inverse', 0) === 1;
  const own = shape[axis] ?? 1;
  const mirrored = onesided && inverse ? productOf([2, differenceOf(own, 1)]) : own;
  const length = site.inputs[1] === undefined ? mirrored : numberAt(site, 1, 'length');
  const bins = onesided && !inverse ? halfOf(length) : length;
  return [knownOf(dtype, shape.with(axis, bins).with(shape.length - 1, onesided && inverse ? 1 : 2))];
}

function inferStft(site: Site): Known[] {
  const { dtype } = inputOf(site, 0);
  const [batch = 1, length = 1] = shapeOf(site, 0);
  const size = site.inputs[3] === undefined ? site.inputs[2]?.shape?.[0] : numberAt(site, 3, 'frame');
  const frame = size ?? unknownSize(site.node.name, 'frame');
  const frames = sumOf([floorQuotientOf(differenceOf(length, frame), numberAt(site, 1, 'step')), 1]);
  const bins = intOf(site.node, 'onesided', 1) === 1 ? halfOf(frame) : frame;
  return [knownOf(dtype, [batch, frames, bins, 2])];
}

function inferMel(site: Site): Known[] {
  const dtype = elementTypeOf(intOf(site.node, 'output_datatype', 1)) ?? 'float32';
  return [knownOf(dtype, [halfOf(numberAt(site, 1, 'length')), numberAt(site, 0, 'bins')])];
}

export const signalOperators: OperatorRows = {
  BlackmanWindow: window,
  DFT: operator({ infer: inferDft, gradient: 'not yet' }),
  HammingWindow: window,
  HannWindow: window,
  MelWeightMatrix: operator({ infer: inferMel, gradient: 'not differentiable' }),
  STFT: operator({ infer: inferStft, gradient: 'not yet' }),
};
