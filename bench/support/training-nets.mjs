/** The networks of `npm run bench -- train`: the model, its module in torch_nets.py, and how it is trained. */
import { elementCount } from '@graft/core/tensor';
import { cutAt } from '@graft/models/graph/cut';
import { denseHead } from '@graft/models/architectures/dense-head';
import { lastBlockInput as mobileNetCut, mobileNetV2 } from '@graft/models/architectures/mobilenet-v2';
import { lastBlockInput as resNetCut, resnet18 } from '@graft/models/architectures/resnet18';
import { digitsCnn, smallCnn } from '@graft/models/architectures/small-cnn';
import { transformerClassifier } from '@graft/models/architectures/transformer-classifier';

const adam = { kind: 'adam', learningRate: 0.001 };
/** Statistics of the batch normalise and the running ones move, as torch.nn.BatchNorm2d in training mode. */
const batchNorm = { momentum: 0.1 };
const classes = 10;

const head = { inputs: 1280, hidden: 128, classes };
const mobileNet = (size, width) => ({ size, width, classes });
const transformer = (width, heads, layers) => ({
  width,
  heads,
  layers,
  positions: 64,
  classes,
  input: { vector: 64 },
  norm: 'after',
});

/**
 * loop: steps that graft does in one run; default 1.
 * together: steps that are timed as one, since a clock cannot time a short one; samples: such timings a block.
 * cut: what leads to this value is frozen: graft computes it with a graph of its own, PyTorch without gradients.
 * goals: of the ratio of CPU time on one thread and of wall time on two.
 */
export const trainingNets = {
  head: {
    torch: { net: 'dense head', options: head },
    model: (seed) => denseHead(head, seed),
    optimizer: adam,
    loop: 20,
    together: 20,
    samples: 10,
    goals: { cpu: 0.9, wall: 1 },
  },
  cnn: {
    torch: { net: 'small cnn', options: digitsCnn },
    model: (seed) => smallCnn(digitsCnn, seed),
    optimizer: adam,
    loop: 5,
    together: 5,
    samples: 6,
    goals: { cpu: 0.9, wall: 1.25 },
  },
  mbn: {
    torch: { net: 'mobilenet-v2', options: mobileNet(96, 0.35) },
    model: (seed) => mobileNetV2(mobileNet(96, 0.35), seed),
    optimizer: adam,
    batchNorm,
    together: 1,
    samples: 6,
    goals: { cpu: 0.65, wall: 0.9 },
  },
  'mbn-frozen': {
    torch: { net: 'mobilenet-v2', options: mobileNet(96, 0.35) },
    model: (seed) => mobileNetV2(mobileNet(96, 0.35), seed),
    cut: mobileNetCut,
    optimizer: adam,
    batchNorm,
    together: 1,
    samples: 8,
    goals: { cpu: 0.45, wall: 0.45 },
  },
  resnet18: {
    torch: { net: 'resnet18', options: { size: 64, classes } },
    model: (seed) => resnet18({ size: 64, classes }, seed),
    optimizer: adam,
    batchNorm,
    together: 1,
    samples: 4,
    goals: { cpu: 1.3, wall: 1.5 },
  },
  transformer128: {
    torch: { net: 'transformer', options: transformer(128, 4, 2) },
    model: (seed) => transformerClassifier(transformer(128, 4, 2), seed),
    optimizer: adam,
    loop: 2,
    together: 2,
    samples: 6,
    goals: { cpu: 0.95, wall: 1.2 },
  },
  transformer256: {
    torch: { net: 'transformer', options: transformer(256, 8, 4) },
    model: (seed) => transformerClassifier(transformer(256, 8, 4), seed),
    optimizer: adam,
    together: 1,
    samples: 4,
    goals: { cpu: 1.05, wall: 1.2 },
  },
};

/** The large images of the feature cache; cut as above. */
export const cachedNets = {
  'mobilenet-v2-1.0@224': {
    torch: { net: 'mobilenet-v2', options: mobileNet(224, 1) },
    model: (seed) => mobileNetV2(mobileNet(224, 1), seed),
    cut: mobileNetCut,
    optimizer: adam,
    batchNorm,
    goal: 10,
  },
  'resnet18@224': {
    torch: { net: 'resnet18', options: { size: 224, classes } },
    model: (seed) => resnet18({ size: 224, classes }, seed),
    cut: resNetCut,
    optimizer: adam,
    batchNorm,
    goal: 3,
  },
};

/** The parts of a network: `trained`, and `trunk` where a cut freezes what comes before. */
export function partsOf(net, seed) {
  const model = net.model(seed);
  if (net.cut === undefined) return { trained: model };
  const { trunk, tail } = cutAt(model, net.cut);
  return { trunk, trained: tail };
}

/** Names of what the optimizer changes: float32 weights that are not running statistics or constants of the graph. */
export function trainableOf(model) {
  return model.graph.weights
    .filter(({ name, dtype, shape }) => dtype === 'float32' && !/running_|\//.test(name) && elementCount(shape) > 0)
    .map(({ name }) => name);
}
