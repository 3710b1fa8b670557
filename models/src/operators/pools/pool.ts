/** Pools: https://onnx.ai/onnx/operators/onnx__AveragePool.html, onnx__MaxPool.html */
import { castTo, expandLike, maskOf } from '../broadcast.js';
import { knownCount, productOf, sumOf, unknownSize } from '../dimension.js';
import type { GraphBuilder } from '../graph-builder.js';
import { operator, sizeOf, type GradientSite, type Known, type OperatorRows, type Site } from '../operator.js';
import { inputOf, intsOf, malformed, shapeOf } from '../site.js';
import { windowOf } from '../window.js';
import { averageGradient } from './average.js';
import { maxGradient } from './largest.js';
import { globalLpPoolGradient, lpPoolGradient } from './powers.js';

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

/** The size that a MaxPool of this window had before, or as the third input says. */
function inferMaxUnpool(site: Site): Known[] {
  const shape = shapeOf(site, 0);
  const { dtype } = inputOf(site, 0);
  if (site.inputs[2] !== undefined) {
    const unknown = shape.map((_, axis) => unknownSize(site.node.name, `size.${axis}`));
    return [{ dtype, shape: site.inputs[2].elements ?? unknown }];
  }
  const spatial = shape.length - 2;
  const kernel = intsOf(site.node, 'kernel_shape') ?? [];
  if (kernel.length !== spatial) throw malformed(site.node, `has a window of ${kernel.length} axes over ${spatial}`);
  const [strides, pads] = [intsOf(site.node, 'strides'), intsOf(site.node, 'pads')];
  const sizes = shape.slice(2).map((size, i) => {
    const stride = strides?.[i] ?? 1;
    const padding = (pads?.[i] ?? 0) + (pads?.[i + spatial] ?? 0);
    return sumOf([productOf([stride, size]), (kernel[i] ?? 1) - stride - padding]);
  });
  return [{ dtype, shape: [...shape.slice(0, 2), ...sizes] }];
}

/** Each gradient is read from where its element went. */
function maxUnpoolGradient({ node, outputGradients: [dy] }: GradientSite, build: GraphBuilder): string[] {
  const [, places = ''] = node.inputs;
  if (dy === undefined) return [];
  const flat = build.add('Reshape', [dy, build.ints([-1])]);
  return [build.add('Gather', [flat, places], { axis: 0 })];
}

function globalAverageGradient(site: GradientSite, build: GraphBuilder): string[] {
  const [dy] = site.outputGradients;
  const [x = ''] = site.node.inputs;
  if (dy === undefined) return [];
  const count = knownCount(shapeOf(site, 0).slice(2));
  const size = (value: string): string => castTo(build.add('Size', [value]), build.typeOf(dy).dtype, build);
  const share = count === undefined ? build.add('Div', [size(dy), size(x)]) : build.scalar(1 / count, dy);
  return [expandLike(build.add('Mul', [dy, share]), x, build)];
}

const windowFlops = (site: Site, [y]: readonly Known[]): number =>
  sizeOf(y) * windowOf(site).reduce((product, { kernel }) => product * kernel, 1);

const inputFlops = ({ inputs: [x] }: Site): number => sizeOf(x);

export const poolOperators: OperatorRows = {
  AveragePool: operator({ infer: inferPool, gradient: averageGradient, flops: windowFlops }),
  MaxPool: operator({ infer: inferPool, gradient: maxGradient, flops: windowFlops }),
  LpPool: operator({ infer: inferPool, gradient: lpPoolGradient, flops: windowFlops }),
  MaxUnpool: operator({ infer: inferMaxUnpool, gradient: maxUnpoolGradient }),
  GlobalAveragePool: operator({ infer: inferGlobalPool, gradient: globalAverageGradient, flops: inputFlops }),
  GlobalLpPool: operator({ infer: inferGlobalPool, gradient: globalLpPoolGradient, flops: inputFlops }),
  GlobalMaxPool: operator({
    infer: inferGlobalPool,
    gradient: ({ node, outputGradients: [dy] }, build) => {
      const [[x = ''], [y = '']] = [node.inputs, node.outputs];
      return dy === undefined ? [] : [build.add('Mul', [maskOf(build.add('Equal', [x, y]), dy, build), dy])];
    },
    flops: inputFlops,
  }),
};
