/**
 * Post-training static quantization to INT8 in QDQ form: every 8-bit value is written as QuantizeLinear, DequantizeLinear around
 * float32 operators of the standard opset, so that any ONNX runtime computes the same model, and ONNX Runtime fuses each group into one
 * 8-bit kernel. (Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, 2018.)
 *
 * Activations are uint8 with a zero point; weights int8, symmetric, one scale an output channel; biases int32.
 * No sum overflows on CPUs that add pairs of products in 16 bits, see pair-sums.ts.
 */
import { GraftError } from '@graft/core/error';
import { tensor, type Tensor } from '@graft/core/tensor';

import type { Attribute, Model, Node } from '../graph/graph.js';
import { chooseScales, type ChosenScale } from './choose-scales.js';
import { Draft } from './draft.js';
import { gateOf, isDepthwise, weightAxis, type Role } from './operators.js';
import { pairFloors } from './pair-sums.js';
import { planQuantization } from './plan.js';
import { checkRanges, type Ranges } from './ranges.js';
import { activationScale, biasLimit, quantizeActivation, quantizeBias, quantizeWeights, type Scale } from './scale.js';

/**
 * The model with inputs and outputs as before (float32) and everything that pays in INT8 between them.
 * @param ranges exactly those of `calibrationOutputs(model)`
 * Throws RANGES_INVALID for ranges that do not fit, MODEL_UNSUPPORTED for weights that are not finite.
 */
export function quantizeModel(model: Model, ranges: Ranges): Model {
  const plan = planQuantization(model);
  const measured = checkRanges(ranges, plan.measured);
  const draft = new Draft(plan.model);
  const scales = chooseScales(draft, plan, measured);
  const work = { draft, scales };
  for (const node of draft.nodes()) {
    const role = plan.roles.get(node.name);
    if (role !== undefined) quantizeInputs(work, node, role);
  }
  for (const value of plan.entries) {
    round(work, value, { from: value, to: entryName(value) });
    for (const reader of draft.readers(value)) {
      if (plan.roles.has(reader.name)) reread(draft, reader, value);
    }
  }
  for (const value of plan.rounded) roundOutput(work, value, plan.roles);
  return draft.finish();
}

interface Work {
  readonly draft: Draft;
  readonly scales: ReadonlyMap<string, ChosenScale>;
}

const entryName = (value: string): string => `${value}/dequantized`;
const quantizedName = (value: string): string => `${value}/quantized`;

function scaleOf({ scales }: Work, value: string): ChosenScale {
  const scale = scales.get(value);
  if (scale === undefined) throw new RangeError(`no scale was chosen for '${value}'`);
  return scale;
}

/** A reader of an entry takes its 8-bit form. */
function reread(draft: Draft, reader: Node, value: string): void {
  const inputs = reader.inputs.map((input) => (input === value ? entryName(value) : input));
  draft.replace({ ...reader, inputs });
}

/** Weights, biases and other constants of a node become integers. */
function quantizeInputs(work: Work, node: Node, role: Role): void {
  if (role === 'linear') quantizeLinearNode(work, node);
  if (role !== 'elementwise' || work.scales.get(node.outputs[0] ?? '')?.shift !== undefined) return;
  const inputs = node.inputs.map((name) => {
    const constant = work.draft.constant(name);
    if (constant === undefined) return name;
    const scale = activationScale(rangeOfConstant(constant.data));
    const values = tensor('uint8', constant.shape, quantizeActivation(constant.data, scale));
    const quantized = work.draft.addWeight(`${node.name}/${name}`, values);
    return dequantize(work, quantized, { output: work.draft.freshName(`${node.name}/${name}/value`), scale });
  });
  work.draft.replace({ ...node, inputs });
}

function rangeOfConstant(data: Float32Array): { min: number; max: number } {
  let [min, max] = [0, 0];
  for (const value of data) {
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return { min, max };
}

/** https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html, per channel along `axis`. */
function quantizeLinearNode(work: Work, node: Node): void {
  const { draft } = work;
  const [input = '', weightName = '', biasName = ''] = node.inputs;
  const weight = draft.constant(weightName);
  if (weight === undefined) return;
  const bias = draft.constant(biasName)?.data;
  if (!weight.data.every(Number.isFinite) || bias?.every(Number.isFinite) === false) {
    throw new GraftError('MODEL_UNSUPPORTED', `the weights of '${node.name}' are not finite and cannot be quantized`);
  }
  const { scale, residual } = scaleOf(work, input);
  const axis = weightAxis(node);
  const least = leastScales(node, weight, { axis, bias, step: scale });
  const { values, scales } = quantizeWeights(weight.data, { shape: weight.shape, axis, least });
  const steps = scales.map((channel) => scale * channel);
  const inputs = [
    input,
    channelwise(draft, `${node.name}/weight`, { values: tensor('int8', weight.shape, values), scales, axis }),
  ];
  if (bias !== undefined || residual !== 0) {
    const sums = residual === 0 ? undefined : channelSums({ values, scales });
    const whole = Float64Array.from(scales, (_, channel) => (bias?.[channel] ?? 0) + residual * (sums?.[channel] ?? 0));
    const counts = tensor('int32', [scales.length], quantizeBias(whole, steps));
    inputs.push(channelwise(draft, `${node.name}/bias`, { values: counts, scales: steps, axis: 0 }));
  }
  draft.replace({ ...node, inputs });
}

/** Bounds of the weights' scales so that neither biases nor pairs of products overflow. Depthwise kernels add in 32 bits. */
function leastScales(
  node: Node,
  { data, shape }: Tensor<'float32'>,
  { axis, bias, step }: { axis: number; bias: Float32Array | undefined; step: number },
): Float64Array {
  const floors = isDepthwise(node, shape)
    ? new Float64Array(shape[axis] ?? 1)
    : pairFloors(node, data, { shape, axis });
  return floors.map((floor, channel) => Math.max(floor, Math.abs(bias?.[channel] ?? 0) / (step * biasLimit)));
}

/** Sum of the weights of each output channel; only for Conv, whose channels come first. */
function channelSums({ values, scales }: { values: Int8Array; scales: Float32Array }): Float64Array {
  const perChannel = values.length / scales.length;
  const sums = new Float64Array(scales.length);
  for (const [i, value] of values.entries()) {
    const channel = Math.floor(i / perChannel);
    sums[channel] = (sums[channel] ?? 0) + value * (scales[channel] ?? 0);
  }
  return sums;
}

/** Integers with one scale a channel, and the node that makes numbers of them; returns the name of these. */
function channelwise(
  draft: Draft,
  name: string,
  { values, scales, axis }: { values: Tensor; scales: Float32Array<ArrayBuffer>; axis: number },
): string {
  const output = draft.freshName(`${name}/value`);
  draft.add('DequantizeLinear', `${name}/dequantize`, {
    inputs: [
      draft.addWeight(`${name}/quantized`, values),
      draft.addWeight(`${name}/scale`, tensor('float32', [scales.length], scales)),
    ],
    outputs: [output],
    attributes: { axis: int(axis) },
  });
  return output;
}

/** The maker of the value gives it unrounded, and the value is what 8 bits keep of it. */
function roundOutput(work: Work, value: string, roles: ReadonlyMap<string, Role>): void {
  const { draft } = work;
  const maker = draft.maker(value);
  if (maker === undefined) return;
  const scale = scaleOf(work, value);
  if (scale.shift !== undefined) {
    draft.remove(maker.name);
    dequantize(work, quantizedName(scale.shift.root), { output: value, scale });
    return;
  }
  const unrounded = draft.freshName(`${value}/unrounded`);
  const role = roles.get(maker.name);
  if (role === 'absorbed') {
    const before = draft.maker(maker.inputs[0] ?? '');
    draft.remove(maker.name);
    if (before !== undefined) draft.replace({ ...before, outputs: [unrounded] });
  } else if (role === 'gate') {
    draft.replace(additionOf(work, maker, unrounded));
  } else {
    draft.replace({ ...maker, outputs: [unrounded] });
  }
  round(work, value, { from: unrounded, to: value });
}

/** slope x + offset, rounded to [0, 1], is HardSigmoid; slope x is x under another scale. */
function additionOf(work: Work, gate: Node, output: string): Node {
  const { draft } = work;
  const [input = ''] = gate.inputs;
  const { slope, offset } = gateOf(gate);
  const { scale, zeroPoint } = scaleOf(work, input);
  const scaled = dequantize(work, quantizedName(input), {
    output: draft.freshName(`${gate.name}/scaled`),
    scale: { scale: Math.fround(scale * slope), zeroPoint },
  });
  const constant = activationScale({ min: offset, max: offset });
  const stored = draft.addWeight(`${gate.name}/offset`, tensor('uint8', [], quantizeActivation([offset], constant)));
  const added = dequantize(work, stored, { output: draft.freshName(`${gate.name}/offset/value`), scale: constant });
  return { ...gate, op: 'Add', inputs: [scaled, added], outputs: [output], attributes: {} };
}

function round(work: Work, value: string, { from, to }: { from: string; to: string }): void {
  const scale = scaleOf(work, value);
  work.draft.add('QuantizeLinear', `${value}/quantize`, {
    inputs: [from, ...parameters(work, value, scale)],
    outputs: [quantizedName(value)],
  });
  dequantize(work, quantizedName(value), { output: to, scale });
}

function dequantize(work: Work, input: string, { output, scale }: { output: string; scale: Scale }): string {
  work.draft.add('DequantizeLinear', `${output}/dequantize`, {
    inputs: [input, ...parameters(work, output, scale)],
    outputs: [output],
  });
  return output;
}

function parameters({ draft }: Work, name: string, { scale, zeroPoint }: Scale): [scale: string, zeroPoint: string] {
  return [
    draft.addWeight(`${name}/scale`, tensor('float32', [], Float32Array.of(scale))),
    draft.addWeight(`${name}/zero-point`, tensor('uint8', [], Uint8Array.of(zeroPoint))),
  ];
}

function int(value: number): Attribute {
  return { kind: 'int', value };
}
