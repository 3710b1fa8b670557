/** ResNet-18: He and others, 2015, https://arxiv.org/abs/1512.03385; names of weights as torchvision.models.resnet18. */
import type { Model } from '../graph/graph.js';
import { averageOfPlane, batchNorm, conv, linear } from './layers.js';
import { NetBuilder } from './net-builder.js';

export interface ResNet18Options {
  /** Side of the RGB image. */
  readonly size: number;
  readonly classes: number;
  /** Channels of the first stage; 64 in the paper. */
  readonly width?: number;
}

/** Where a trunk ends whose tail is the last block and the classifier. */
export const lastBlockInput = 'layer4.0';

/** Input [batch, 3, size, size], output 'logits' [batch, classes]. Blocks are 'layer1.0' to 'layer4.1'. */
export function resnet18({ size, classes, width = 64 }: ResNet18Options, seed: number): Model {
  const net = new NetBuilder({ name: 'resnet18', exampleShape: [3, size, size], seed });
  const first = batchNorm(net, 'bn1', conv(net, 'conv1', net.input, { outputs: width, kernel: 7, stride: 2 }));
  const active = net.named('relu', 'Relu', [first]);
  let x = net.named('maxpool', 'MaxPool', [active], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] });
  for (let stage = 0; stage < 4; stage++) {
    for (let index = 0; index < 2; index++) {
      const stride = stage > 0 && index === 0 ? 2 : 1;
      x = basicBlock(net, `layer${stage + 1}.${index}`, x, { outputs: width * 2 ** stage, stride });
    }
  }
  linear(net, 'fc', averageOfPlane(net, x), { outputs: classes, output: 'logits' });
  return net.model();
}

/** relu(bn(conv(relu(bn(conv x)))) + x), where x is projected when its size changes. */
function basicBlock(net: NetBuilder, name: string, x: string, size: { outputs: number; stride: number }): string {
  const { outputs, stride } = size;
  const first = batchNorm(net, `${name}.bn1`, conv(net, `${name}.conv1`, x, { outputs, kernel: 3, stride }));
  const active = net.named(`${name}.relu1`, 'Relu', [first]);
  const second = batchNorm(net, `${name}.bn2`, conv(net, `${name}.conv2`, active, { outputs, kernel: 3 }));
  const same = stride === 1 && net.size(x, 1) === outputs;
  const projected = (): string =>
    batchNorm(net, `${name}.downsample.1`, conv(net, `${name}.downsample.0`, x, { outputs, kernel: 1, stride }));
  const sum = net.named(`${name}.add`, 'Add', [second, same ? x : projected()]);
  return net.named(name, 'Relu', [sum]);
}
