/**
 * Uniform quantization: value = scale * (q - zeroPoint), as ONNX's QuantizeLinear and DequantizeLinear have it
 * (https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html). Zero is always represented exactly, since padding and ReLU make
 * zeros in great number and an error in them would be a bias.
 */
import type { Range } from './ranges.js';

export interface Scale {
  /** A positive float32. */
  readonly scale: number;
  /** 0 to 255. */
  readonly zeroPoint: number;
}

const levels = 255;

/** Smaller steps than this drown in float32's subnormal numbers once scales are multiplied. */
const leastScale = 2 ** -60;

/** uint8, asymmetric: covers the range and zero; inside the range the error is at most scale / 2. */
export function activationScale(range: Range): Scale {
  const { min, max } = withZero(range);
  const scale = Math.fround(Math.max((max - min) / levels, leastScale));
  return { scale, zeroPoint: clamp(roundToEven(-min / scale), 0, levels) };
}

/** The range that also contains zero. */
export function withZero({ min, max }: Range): Range {
  return { min: Math.min(0, min), max: Math.max(0, max) };
}

/** Values as uint8; those beyond the range saturate. */
export function quantizeActivation(values: ArrayLike<number>, { scale, zeroPoint }: Scale): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(values, (value) => clamp(roundToEven(value / scale) + zeroPoint, 0, levels));
}

export interface ChannelWeights {
  /** In the order of the weights. */
  readonly values: Int8Array<ArrayBuffer>;
  /** One a channel, float32. */
  readonly scales: Float32Array<ArrayBuffer>;
}

export interface ChannelLayout {
  readonly shape: readonly number[];
  /** The axis of the output channels. */
  readonly axis: number;
  /** Lower bounds of the scales, one a channel. */
  readonly least?: ArrayLike<number>;
}

/** -127 to 127: symmetric, so that zero needs no zero point. */
const weightLimit = 127;

/**
 * int8, symmetric, one scale a channel; the error is at most half the channel's scale.
 */
export function quantizeWeights(weights: Float32Array, { shape, axis, least }: ChannelLayout): ChannelWeights {
  const channels = shape[axis] ?? 1;
  const channelOf = channelIndex(shape, axis);
  const largest = new Float64Array(channels);
  for (const [i, value] of weights.entries()) {
    const channel = channelOf(i);
    largest[channel] = Math.max(largest[channel] ?? 0, Math.abs(value));
  }
  const scales = Float32Array.from(largest, (value, channel) =>
    Math.max(value / weightLimit, leastScale, least?.[channel] ?? 0),
  );
  const values = Int8Array.from(weights, (value, i) =>
    clamp(roundToEven(value / (scales[channelOf(i)] ?? 1)), -weightLimit, weightLimit),
  );
  return { values, scales };
}

/** The channel of the i-th weight. */
export function channelIndex(shape: readonly number[], axis: number): (i: number) => number {
  const channels = shape[axis] ?? 1;
  const stride = shape.slice(axis + 1).reduce((product, size) => product * size, 1);
  return (i) => Math.floor(i / stride) % channels;
}

/** Biases are added to the sums of products, so they are counted in steps of input scale x weight scale. */
export const biasLimit = 2 ** 30;

/** int32 in steps of `scales`, one a channel. */
export function quantizeBias(bias: ArrayLike<number>, scales: Float32Array): Int32Array<ArrayBuffer> {
  return Int32Array.from(bias, (value, channel) =>
    clamp(roundToEven(value / (scales[channel] ?? 1)), -biasLimit, biasLimit),
  );
}

export function roundToEven(value: number): number {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

export function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}
