/**
 * Transposed convolution: https://onnx.ai/onnx/operators/onnx__ConvTranspose.html
 * It is the gradient by the input of the convolution of its output with its weight, so its gradients are that convolution's.
 */
import type { Dimension } from '../../graph/graph.js';
import type { GraphBuilder } from '../graph-builder.js';
import { slice } from '../indexing.js';
import type { GradientSite, Known, Site } from '../operator.js';
import { fixedSize, inputOf, intOf, intsOf, malformed, shapeOf, stringOf } from '../site.js';
import type { FixedAxis } from '../window.js';
import { byWeight } from './by-weight.js';
import { productOver, windowAttributes, type Convolution } from './convolution.js';

/** One spatial axis, and the size that it grows to. */
type TransposedAxis = Omit<FixedAxis, 'input' | 'output' | 'end'> & { readonly grown: Dimension };

export function inferConvTranspose(site: Site): Known[] {
  const [x, w] = [shapeOf(site, 0), shapeOf(site, 1)];
  const group = intOf(site.node, 'group', 1);
  if (typeof x[1] === 'number' && typeof w[0] === 'number' && x[1] !== w[0]) {
    throw malformed(site.node, `takes ${w[0]} channels, its input has ${x[1]}`);
  }
  const filters = fixedSize(site, w[1], 'number of filters') * group;
  return [{ dtype: inputOf(site, 0).dtype, shape: [x[0] ?? 1, filters, ...axesOf(site).map(({ grown }) => grown)] }];
}

/** Sizes and pads as the operator's page gives them. Throws MODEL_MALFORMED. */
function axesOf(site: Site): TransposedAxis[] {
  const { node } = site;
  const [x, w] = [shapeOf(site, 0), shapeOf(site, 1)];
  const spatial = x.slice(2);
  if (w.length !== x.length) throw malformed(node, `has a kernel of ${w.length} axes, its input has ${x.length}`);
  const of = (name: string, axis: number): number | undefined => intsOf(node, name)?.[axis];
  const mode = stringOf(node, 'auto_pad', 'NOTSET');
  return spatial.map((size, i) => {
    const kernel = of('kernel_shape', i) ?? fixedSize(site, w[i + 2], 'kernel');
    const [stride, dilation, more] = [of('strides', i) ?? 1, of('dilations', i) ?? 1, of('output_padding', i) ?? 0];
    const axis = { kernel, stride, dilation };
    // Some exporters write all axes of the output's shape, the page asks for the spatial ones.
    const shape = intsOf(node, 'output_shape')?.slice(-spatial.length);
    const same = mode === 'SAME_UPPER' || mode === 'SAME_LOWER';
    if (typeof size !== 'number') return { ...axis, begin: 0, grown: `${node.outputs[0] ?? ''}:${i + 2}` };
    const whole = (size - 1) * stride + dilation * (kernel - 1) + 1 + more;
    const wanted = shape?.[i] ?? (same ? size * stride : undefined);
    if (wanted === undefined) {
      const given = mode === 'NOTSET' || mode === '';
      const [begin, end] = given ? [of('pads', i) ?? 0, of('pads', i + spatial.length) ?? 0] : [0, 0];
      if (whole - begin - end < 1) throw malformed(node, `pads ${begin} and ${end} away from ${whole} elements`);
      return { ...axis, begin, grown: whole - begin - end };
    }
    const total = Math.max(0, whole - wanted);
    const less = Math.floor(total / 2);
    return { ...axis, begin: mode === 'SAME_UPPER' ? less : total - less, grown: wanted };
  });
}

export function convTransposeGradient(site: GradientSite, dy: string, build: GraphBuilder): (string | undefined)[] {
  const [x = '', w = ''] = site.node.inputs;
  const weight = shapeOf(site, 1);
  const group = intOf(site.node, 'group', 1);
  const sizes = shapeOf(site, 0).slice(2);
  const axes = axesOf(site).map(({ grown, ...axis }, i): FixedAxis => {
    const output = fixedSize(site, sizes[i], 'spatial size');
    // Beyond what taps reach lies padding of the output, which nothing has an influence on.
    const reached = (output - 1) * axis.stride + axis.dilation * (axis.kernel - 1) + 1 - axis.begin;
    const input = Math.min(reached, fixedSize(site, grown, 'spatial size'));
    return { ...axis, input, output, end: reached - input };
  });
  const conv: Convolution = {
    x: reachedBy(axes, dy, build),
    w,
    dtype: inputOf(site, 0).dtype,
    group,
    channels: fixedSize(site, weight[1], 'number of filters') * group,
    filters: fixedSize(site, weight[0], 'number of channels'),
    batch: shapeOf(site, 0)[0] ?? 1,
    axes,
    positions: productOver(axes, ({ output }) => output),
    taps: productOver(axes, ({ kernel }) => kernel),
  };
  return [
    site.wants(0) ? build.add('Conv', [conv.x, w], windowAttributes(conv)) : undefined,
    site.wants(1) ? byWeight(conv, x, build) : undefined,
  ];
}

/** The gradient without the elements after the last that any tap reaches. */
function reachedBy(axes: readonly FixedAxis[], dy: string, build: GraphBuilder): string {
  const spatial = build.shapeOf(dy).slice(2);
  const cut = axes.flatMap(({ input }, i) => (spatial[i] === input ? [] : [{ axis: i + 2, start: 0, end: input }]));
  return cut.length === 0 ? dy : slice(dy, cut, build);
}
