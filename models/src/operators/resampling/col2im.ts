/** An image from overlapping blocks that are summed: https://onnx.ai/onnx/operators/onnx__Col2Im.html */
import { productOf, quotientOf, unknownSize } from '../dimension.js';
import type { GraphBuilder } from '../graph-builder.js';
import { pad, slice } from '../indexing.js';
import { operator, sizeOf, type GradientSite, type Known, type OperatorRows, type Site } from '../operator.js';
import { inputOf, intsOf, numbersOf, shapeOf } from '../site.js';

function inferCol2Im(site: Site): Known[] {
  const [batch = 1, columns = 1] = shapeOf(site, 0);
  const rank = Number(inputOf(site, 1).shape?.[0] ?? 2);
  const unknown = Array.from({ length: rank }, (_, i) => unknownSize(site.node.name, `size.${i}`));
  const block = inputOf(site, 2).elements;
  const channels = block === undefined ? undefined : quotientOf(columns, productOf(block));
  const image = inputOf(site, 1).elements ?? unknown;
  return [
    {
      dtype: inputOf(site, 0).dtype,
      shape: [batch, channels ?? unknownSize(site.node.name, 'channels'), ...image],
    },
  ];
}

/** Each block reads what it was added to. */
function col2ImGradient(site: GradientSite, build: GraphBuilder): string[] {
  const [dy] = site.outputGradients;
  if (dy === undefined) return [];
  const [sizes, block] = [numbersOf(site, 1) ?? [], numbersOf(site, 2) ?? []];
  const rank = sizes.length;
  const amounts = intsOf(site.node, 'pads') ?? Array<number>(2 * rank).fill(0);
  const padded = pad(dy, amounts, { axes: sizes.map((_, i) => i + 2), build });
  const taps = block.reduce<number[][]>(
    (all, size) => all.flatMap((tap) => Array.from({ length: size }, (_, i) => [...tap, i])),
    [[]],
  );
  const parts = taps.map((tap) => {
    const ranges = tap.map((place, i) => {
      const dilation = intsOf(site.node, 'dilations')?.[i] ?? 1;
      const size = (sizes[i] ?? 1) + (amounts[i] ?? 0) + (amounts[i + rank] ?? 0);
      const start = place * dilation;
      const end = size - dilation * ((block[i] ?? 1) - 1 - place);
      return { axis: i + 2, start, end, step: intsOf(site.node, 'strides')?.[i] ?? 1 };
    });
    return build.add('Reshape', [slice(padded, ranges, build), build.ints([0, 0, 1, -1])]);
  });
  const joined = parts.length === 1 ? (parts[0] ?? '') : build.add('Concat', parts, { axis: 2 });
  const columns = shapeOf(site, 0)[1];
  return [build.add('Reshape', [joined, build.ints([0, Number(columns), -1])])];
}

export const col2ImOperators: OperatorRows = {
  Col2Im: operator({ infer: inferCol2Im, gradient: col2ImGradient, flops: ({ inputs: [x] }) => sizeOf(x) }),
};
