/** Pools: https://onnx.ai/onnx/operators/onnx__AveragePool.html, onnx__MaxPool.html */
import { expandLike, maskOf, reshapeLike } from './broadcast.js';
import { floats, type Attributes, type GraphBuilder } from './graph-builder.js';
import { pad } from './indexing.js';
import { operator, sizeOf, type GradientSite, type Known, type OperatorRows, type Site } from './operator.js';
import { fixedSize, inputOf, intOf, notDifferentiable, shapeOf } from './site.js';
import { fixedAxes, leftOver, windowOf, type FixedAxis } from './window.js';

function inferPool(site: Site): Known[] {
  const shape = [...shapeOf(site, 0).slice(0, 2), ...windowOf(site).map(({ output }) => output)];
  return [
    { dtype: inputOf(site, 0).dtype, shape },
    { dtype: 'int64', shape },
  ];
}

function inferGlobalPool(site: Site): Known[] {
  const shape = shapeOf(site, 0);
  return [{ dtype: inputOf(site, 0).dtype, shape: shape.map((size, axis) => (axis < 2 ? size : 1)) }];
}

/** Elements under the window at each place of an axis. */
function counts({ output, kernel, stride, dilation, begin, input, end }: FixedAxis, countPadding: boolean): number[] {
  return Array.from({ length: output }, (_, place) =>
    Array.from({ length: kernel }, (__, tap) => place * stride + tap * dilation - begin).reduce((count, at) => {
      const inside = countPadding ? at < input + end : at >= 0 && at < input;
      return inside ? count + 1 : count;
    }, 0),
  );
}

/** The gradient over the number of elements that each window averaged. */
function shared(site: GradientSite, dy: string, build: GraphBuilder): string {
  const axes = fixedAxes(site, windowOf(site));
  const countPadding = intOf(site.node, 'count_include_pad', 0) === 1;
  const perAxis = axes.map((axis) => counts(axis, countPadding));
  const even = perAxis.every((each) => each.every((count) => count === each[0]));
  const product = perAxis.reduce((all, each) => all.flatMap((a) => each.map((b) => a * b)), [1]);
  const factors = product.map((count) => 1 / Math.max(1, count));
  if (even) return build.add('Mul', [dy, build.scalar(factors[0] ?? 1, dy)]);
  const shape = [1, 1, ...axes.map(({ output }) => output)];
  return build.add('Mul', [dy, build.constant(floats(build.typeOf(dy).dtype, shape, factors))]);
}

/** Each element gets the share of every window that covered it. */
function averageGradient(site: GradientSite, build: GraphBuilder): string[] {
  const [dy] = site.outputGradients;
  if (dy === undefined) return [];
  const axes = fixedAxes(site, windowOf(site));
  if (axes.some((axis) => leftOver(axis) < 0))
    throw notDifferentiable(site.node, 'averages past the end of its input (ceil_mode), which has no gradient here');
  const share = shared(site, dy, build);
  const tiled = axes.every(
    ({ kernel, stride, dilation, begin, end }) => kernel === stride && dilation === 1 && begin + end === 0,
  );
  return [tiled ? repeated(site, share, build) : overlapped(site, share, build)];
}

/** Windows side by side: each share is repeated over its window; what no window covered gets zero. */
function repeated(site: GradientSite, share: string, build: GraphBuilder): string {
  const axes = fixedAxes(site, windowOf(site));
  const channels = fixedSize(site, shapeOf(site, 0)[1], 'number of channels');
  const split = build.add('Reshape', [share, build.ints([-1, channels, ...axes.flatMap(({ output }) => [output, 1])])]);
  const spread = build.add('Expand', [split, build.ints([1, 1, ...axes.flatMap(({ kernel }) => [1, kernel])])]);
  const covered = axes.map(({ output, kernel }) => output * kernel);
  const joined = build.add('Reshape', [spread, build.ints([-1, channels, ...covered])]);
  const missing = axes.map(({ input }, i) => input - (covered[i] ?? 0));
  return pad(joined, [...axes.map(() => 0), ...missing], { axes: axes.map((_, i) => i + 2), build });
}

/** Overlapping windows: a transposed convolution with ones, every channel an image of its own. */
function overlapped(site: GradientSite, share: string, build: GraphBuilder): string {
  const axes = fixedAxes(site, windowOf(site));
  const kernel = axes.map((axis) => axis.kernel);
  const images = build.add('Reshape', [share, build.ints([-1, 1, ...axes.map(({ output }) => output)])]);
  const taps = kernel.reduce((product, size) => product * size, 1);
  const ones = build.constant(floats(build.typeOf(share).dtype, [1, 1, ...kernel], Array<number>(taps).fill(1)));
  const attributes: Attributes = {
    kernel_shape: kernel,
    strides: axes.map(({ stride }) => stride),
    dilations: axes.map(({ dilation }) => dilation),
    pads: [...axes.map(({ begin }) => begin), ...axes.map(({ end }) => end)],
    output_padding: axes.map(leftOver),
  };
  return reshapeLike(build.add('ConvTranspose', [images, ones], attributes), site.node.inputs[0] ?? '', build);
}

/** Runs the pool again for the places of the largest elements, and adds each gradient there. */
function maxGradient(site: GradientSite, build: GraphBuilder): string[] {
  const [dy] = site.outputGradients;
  const [x = ''] = site.node.inputs;
  if (dy === undefined) return [];
  const [, places = ''] = build.repeat(site.node, 2);
  const flat = (value: string): string => build.add('Reshape', [value, build.ints([-1])]);
  const count = build.add('Reshape', [build.add('Size', [x]), build.ints([1])]);
  const zeros = build.add('Expand', [build.constant(floats(build.typeOf(dy).dtype, [1], [0])), count]);
  const sum = build.add('ScatterElements', [zeros, flat(places), flat(dy)], { axis: 0, reduction: 'add' });
  return [reshapeLike(sum, x, build)];
}

const windowFlops = (site: Site, [y]: readonly Known[]): number =>
  sizeOf(y) * windowOf(site).reduce((product, { kernel }) => product * kernel, 1);

export const poolOperators: OperatorRows = {
  AveragePool: operator({ infer: inferPool, gradient: averageGradient, flops: windowFlops }),
  MaxPool: operator({ infer: inferPool, gradient: maxGradient, flops: windowFlops }),
  GlobalAveragePool: operator({
    infer: inferGlobalPool,
    gradient: (site, build) => {
      const [dy] = site.outputGradients;
      if (dy === undefined) return [];
      const count = shapeOf(site, 0)
        .slice(2)
        .reduce<number>((product, size) => product * fixedSize(site, size, 'spatial size'), 1);
      return [expandLike(build.add('Mul', [dy, build.scalar(1 / count, dy)]), site.node.inputs[0] ?? '', build)];
    },
    flops: ({ inputs: [x] }) => sizeOf(x),
  }),
  GlobalMaxPool: operator({
    infer: inferGlobalPool,
    gradient: ({ node, outputGradients: [dy] }, build) => {
      const [[x = ''], [y = '']] = [node.inputs, node.outputs];
      return dy === undefined ? [] : [build.add('Mul', [maskOf(build.add('Equal', [x, y]), dy, build), dy])];
    },
    flops: ({ inputs: [x] }) => sizeOf(x),
  }),
};
