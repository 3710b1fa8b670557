/** Convolution: https://onnx.ai/onnx/operators/onnx__Conv.html */
import { convByInput } from './conv-by-input.js';
import { convByWeight } from './conv-by-weight.js';
import { convSiteOf } from './conv-site.js';
import type { GraphBuilder } from './graph-builder.js';
import { operator, sizeOf, type GradientSite, type Known, type OperatorRows, type Site } from './operator.js';
import { inputOf, intOf, intsOf, malformed, shapeOf } from './site.js';
import { windowOf } from './window.js';

function inferConv(site: Site): Known[] {
  const [x, w] = [shapeOf(site, 0), shapeOf(site, 1)];
  const group = intOf(site.node, 'group', 1);
  const [channels, perGroup] = [x[1], w[1]];
  if (typeof channels === 'number' && typeof perGroup === 'number' && channels !== perGroup * group) {
    throw malformed(site.node, `takes ${perGroup * group} channels, its input has ${channels}`);
  }
  const spatial = windowOf(site, w.slice(2)).map(({ output }) => output);
  return [{ dtype: inputOf(site, 0).dtype, shape: [x[0] ?? 1, w[0] ?? 1, ...spatial] }];
}

function convGradient(site: GradientSite, build: GraphBuilder): (string | undefined)[] {
  const [dy] = site.outputGradients;
  if (dy === undefined) return [];
  const conv = convSiteOf(site, dy);
  const spatial = conv.axes.map((_, i) => i + 2);
  const byBias = (): string =>
    build.add('ReduceSum', [build.add('ReduceSum', [dy, build.ints(spatial)], { keepdims: 0 }), build.ints([0])], {
      keepdims: 0,
    });
  return [
    site.wants(0) ? convByInput(conv, build) : undefined,
    site.wants(1) ? convByWeight(conv, build) : undefined,
    site.node.inputs[2] !== undefined && site.wants(2) ? byBias() : undefined,
  ];
}

/** Spatial sizes of a transposed convolution: the inverse of the window's steps. */
function inferConvTranspose(site: Site): Known[] {
  const [x, w] = [shapeOf(site, 0), shapeOf(site, 1)];
  const { node } = site;
  const pads = intsOf(node, 'pads') ?? [];
  const spatial = x.slice(2).map((size, i) => {
    if (typeof size !== 'number') return `${node.outputs[0] ?? ''}:${i + 2}`;
    const extent = (intsOf(node, 'dilations')?.[i] ?? 1) * (Number(w[i + 2]) - 1) + 1;
    const cut = (pads[i] ?? 0) + (pads[i + x.length - 2] ?? 0);
    return (size - 1) * (intsOf(node, 'strides')?.[i] ?? 1) + extent + (intsOf(node, 'output_padding')?.[i] ?? 0) - cut;
  });
  return [{ dtype: inputOf(site, 0).dtype, shape: [x[0] ?? 1, Number(w[1]) * intOf(node, 'group', 1), ...spatial] }];
}

export const convOperators: OperatorRows = {
  Conv: operator({
    infer: inferConv,
    gradient: convGradient,
    flops: ({ inputs: [, w] }, [y]) => (2 * sizeOf(y) * sizeOf(w)) / Math.max(1, Number(w?.shape?.[0] ?? 1)),
  }),
  ConvTranspose: operator({
    infer: inferConvTranspose,
    gradient: 'not differentiable',
    flops: ({ inputs: [x, w] }) => (2 * sizeOf(x) * sizeOf(w)) / Math.max(1, Number(w?.shape?.[0] ?? 1)),
  }),
};
