/** Convolution: https://onnx.ai/onnx/operators/onnx__Conv.html */
import type { GraphBuilder } from '../graph-builder.js';
import { operator, sizeOf, type GradientSite, type Known, type OperatorRows, type Site } from '../operator.js';
import { inputOf, intOf, malformed, shapeOf } from '../site.js';
import { windowOf } from '../window.js';
import { convTransposeGradient, inferConvTranspose } from './conv-transpose.js';
import { convolutionOf } from './convolution.js';
import { formsOf } from './forms.js';

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
  const conv = convolutionOf(site);
  const { byInput, byWeight } = formsOf(conv, build.lowering);
  return [
    site.wants(0) ? byInput(conv, dy, build) : undefined,
    site.wants(1) ? byWeight(conv, dy, build) : undefined,
    hasBias(site) ? byBias(dy, build) : undefined,
  ];
}

const hasBias = (site: GradientSite): boolean => (site.node.inputs[2] ?? '') !== '' && site.wants(2);

/** The sum over examples and positions, in two steps: over the axes that lie together first. */
function byBias(dy: string, build: GraphBuilder): string {
  const spatial = build
    .shapeOf(dy)
    .slice(2)
    .map((_, i) => i + 2);
  const byExample = build.add('ReduceSum', [dy, build.ints(spatial)], { keepdims: 0 });
  return build.add('ReduceSum', [byExample, build.ints([0])], { keepdims: 0 });
}

const flopsPerFilter = (w: Known | undefined): number => (2 * sizeOf(w)) / Math.max(1, Number(w?.shape?.[0] ?? 1));

export const convOperators: OperatorRows = {
  Conv: operator({
    infer: inferConv,
    gradient: convGradient,
    flops: ({ inputs: [, w] }, [y]) => sizeOf(y) * flopsPerFilter(w),
  }),
  ConvTranspose: operator({
    infer: inferConvTranspose,
    gradient: (site, build) => {
      const [dy] = site.outputGradients;
      if (dy === undefined) return [];
      return [...convTransposeGradient(site, dy, build), hasBias(site) ? byBias(dy, build) : undefined];
    },
    flops: ({ inputs: [x, w] }) => sizeOf(x) * flopsPerFilter(w),
  }),
};
