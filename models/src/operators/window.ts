/** Windows that slide over the spatial axes, as convolutions and pools do: https://onnx.ai/onnx/operators/onnx__Conv.html */
import type { Dimension } from '../graph/graph.js';
import { ceilQuotientOf, floorQuotientOf, sumOf, unknownSize } from './dimension.js';
import type { Site } from './operator.js';
import { fixedSize, intOf, intsOf, malformed, shapeOf, stringOf } from './site.js';

/** One spatial axis. */
export interface WindowAxis {
  readonly input: Dimension;
  readonly output: Dimension;
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly begin: number;
  readonly end: number;
}

/** The window's axes; `kernel` where the node does not say it. Throws MODEL_MALFORMED where a window does not fit. */
export function windowOf(site: Site, kernel: readonly Dimension[] = []): WindowAxis[] {
  const { node } = site;
  const spatial = shapeOf(site, 0).slice(2);
  const kernels = intsOf(node, 'kernel_shape') ?? kernel.map((size) => fixedSize(site, size, 'kernel'));
  if (kernels.length !== spatial.length) {
    throw malformed(node, `has a window of ${kernels.length} axes over ${spatial.length} spatial axes`);
  }
  const [strides, dilations, pads] = ['strides', 'dilations', 'pads'].map((name) => intsOf(node, name));
  return spatial.map((input, i) => {
    const [size = 1, stride = 1, dilation = 1] = [kernels[i], strides?.[i], dilations?.[i]];
    const extent = dilation * (size - 1) + 1;
    const { begin, end } = padding(site, {
      input,
      extent,
      stride,
      given: { begin: pads?.[i] ?? 0, end: pads?.[i + spatial.length] ?? 0 },
    });
    const axis = { input, kernel: size, stride, dilation, begin, end };
    return { ...axis, output: outputSize(site, axis, i) };
  });
}

interface Placed {
  readonly input: Dimension;
  readonly extent: number;
  readonly stride: number;
  readonly given: { readonly begin: number; readonly end: number };
}

function padding(site: Site, { input, extent, stride, given }: Placed): { begin: number; end: number } {
  const mode = stringOf(site.node, 'auto_pad', 'NOTSET');
  if (mode === 'NOTSET' || mode === '') return given;
  if (mode === 'VALID') return { begin: 0, end: 0 };
  // Of a size that is not known only the number of windows is: nothing reads where they begin.
  if (stride !== 1 && typeof input === 'string') return { begin: 0, end: 0 };
  const size = stride === 1 ? 1 : fixedSize(site, input, 'spatial size');
  const total = stride === 1 ? extent - 1 : Math.max(0, (Math.ceil(size / stride) - 1) * stride + extent - size);
  const less = Math.floor(total / 2);
  return mode === 'SAME_LOWER' ? { begin: total - less, end: less } : { begin: less, end: total - less };
}

function outputSize(site: Site, axis: Omit<WindowAxis, 'output'>, index: number): Dimension {
  const { input, kernel, stride, dilation, begin, end } = axis;
  const extent = dilation * (kernel - 1) + 1;
  if (typeof input === 'string') {
    const same = stringOf(site.node, 'auto_pad', 'NOTSET').startsWith('SAME');
    if (same) return stride === 1 ? input : ceilQuotientOf(input, stride);
    if (intOf(site.node, 'ceil_mode', 0) === 1) return unknownSize(site.node.name, `size.${index}`);
    return sumOf([floorQuotientOf(sumOf([input, begin + end - extent]), stride), 1]);
  }
  const steps = (input + begin + end - extent) / stride;
  const ceil = intOf(site.node, 'ceil_mode', 0) === 1;
  let output = (ceil ? Math.ceil(steps) : Math.floor(steps)) + 1;
  // A window that would begin in the padding after the end is left out.
  if (ceil && (output - 1) * stride >= input + begin) output -= 1;
  if (output < 1) throw malformed(site.node, `moves a window of ${extent} over ${input + begin + end} elements`);
  return output;
}

/** A window over axes of known size, for gradients. */
export type FixedAxis = WindowAxis & { readonly input: number; readonly output: number };

export function fixedAxes(site: Site, axes: readonly WindowAxis[]): FixedAxis[] {
  return axes.map((axis) => ({
    ...axis,
    input: fixedSize(site, axis.input, 'spatial size'),
    output: fixedSize(site, axis.output, 'spatial size'),
  }));
}

/** Input elements after the last window; the windows' inverse must add them back. */
export function leftOver({ input, output, kernel, stride, dilation, begin, end }: FixedAxis): number {
  return input + begin + end - ((output - 1) * stride + dilation * (kernel - 1) + 1);
}
