/** Layers that networks share, with the names and starting weights of torch.nn. */
import { heNormal, linearInitial, ones, uniform, zerosThere, type Initial } from './initial-weights.js';
import type { NetBuilder } from './net-builder.js';

/** y = x W^T + b of rows [n, inputs]; the result is called `output` where that is not the layer's name. */
export function linear(
  net: NetBuilder,
  name: string,
  x: string,
  options: { outputs: number; initial?: Initial; bias?: Initial; output?: string },
): string {
  const inputs = net.size(x, 1);
  const { outputs, initial = linearInitial(inputs), bias = uniform(1 / Math.sqrt(inputs)), output = name } = options;
  const weights = [
    net.weight(`${name}.weight`, [outputs, inputs], initial),
    net.weight(`${name}.bias`, [outputs], bias),
  ];
  return net.named(output, 'Gemm', [x, ...weights], { transB: 1 });
}

export interface ConvOptions {
  readonly outputs: number;
  readonly kernel: number;
  readonly stride?: number;
  readonly groups?: number;
  readonly bias?: boolean;
}

/** A square convolution padded by half its kernel. */
export function conv(net: NetBuilder, name: string, x: string, options: ConvOptions): string {
  const { outputs, kernel, stride = 1, groups = 1, bias = false } = options;
  const inputs = net.size(x, 1) / groups;
  const pad = Math.floor(kernel / 2);
  const fanIn = inputs * kernel ** 2;
  const weights = [
    net.weight(`${name}.weight`, [outputs, inputs, kernel, kernel], bias ? linearInitial(fanIn) : heNormal),
    ...(bias ? [net.weight(`${name}.bias`, [outputs], linearInitial(fanIn))] : []),
  ];
  const attributes = { kernel_shape: [kernel, kernel], strides: [stride, stride], pads: [pad, pad, pad, pad] };
  return net.named(name, 'Conv', [x, ...weights], { ...attributes, group: groups });
}

/** Batch normalization by its running statistics, which are weights beside scale and bias. */
export function batchNorm(net: NetBuilder, name: string, x: string, epsilon = 1e-5): string {
  const channels = [net.size(x, 1)];
  const weights = [
    net.weight(`${name}.weight`, channels, ones),
    net.weight(`${name}.bias`, channels, zerosThere),
    net.weight(`${name}.running_mean`, channels, zerosThere),
    net.weight(`${name}.running_var`, channels, ones),
  ];
  return net.named(name, 'BatchNormalization', [x, ...weights], { epsilon: { float: epsilon } });
}

export function layerNorm(net: NetBuilder, name: string, x: string): string {
  const width = [net.size(x, net.shapeOf(x).length - 1)];
  const weights = [net.weight(`${name}.weight`, width, ones), net.weight(`${name}.bias`, width, zerosThere)];
  return net.named(name, 'LayerNormalization', [x, ...weights], { axis: -1, epsilon: { float: 1e-5 } });
}

/** [n, channels, height, width] to [n, channels]. */
export function averageOfPlane(net: NetBuilder, x: string): string {
  return net.add('Flatten', [net.add('GlobalAveragePool', [x])], { axis: 1 });
}
