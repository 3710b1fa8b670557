/** The largest and smallest of any number of tensors, element by element: https://onnx.ai/onnx/operators/onnx__Max.html */
import type { Dimension } from '../../graph/graph.js';
import { broadcastType, maskOf, unbroadcast } from '../broadcast.js';
import { largerOf, smallerOf } from '../dimension.js';
import type { GraphBuilder } from '../graph-builder.js';
import { knownOf } from '../known.js';
import {
  operator,
  sizeOf,
  type GradientSite,
  type Known,
  type Operator,
  type OperatorRows,
  type Site,
} from '../operator.js';

type Pick = (a: Dimension, b: Dimension) => Dimension;

/** Elements are compared where all operands are known and of one length; of symbols, which are sizes, by what is known of sizes. */
function inferExtreme(site: Site, pick: Pick): Known[] {
  const type = broadcastType(site, [...site.node.inputs.keys()]);
  const operands = site.inputs.map((known) => known?.elements);
  const length = Math.max(...operands.map((elements) => elements?.length ?? 0));
  const elements = Array.from({ length }, (_, i): Dimension | undefined => {
    const given = operands.map((each) =>
      each?.length === 1 ? each[0] : each?.length === length ? each[i] : undefined,
    );
    const values = given.filter((value) => value !== undefined);
    const mixed = values.some((value) => typeof value === 'string') && !values.every(isSize);
    return values.length < given.length || mixed ? undefined : values.reduce(pick);
  }).filter((element) => element !== undefined);
  return [elements.length === length && length > 0 ? knownOf(type.dtype, type.shape, elements) : type];
}

const isSize = (value: Dimension): boolean => typeof value === 'string' || Number.isInteger(value);

/** The gradient goes to the operand that was taken; equal ones share it, as in PyTorch. */
function extremeGradient(
  { node, outputGradients: [dy], wants }: GradientSite,
  build: GraphBuilder,
): (string | undefined)[] {
  const [y = ''] = node.outputs;
  if (dy === undefined) return [];
  if (node.inputs.length === 1) return [dy];
  const masks = node.inputs.map((name) => maskOf(build.add('Equal', [name, y]), dy, build));
  const share = build.add('Div', [dy, build.add('Sum', masks)]);
  return node.inputs.map((name, i) =>
    wants(i) ? unbroadcast(build.add('Mul', [share, masks[i] ?? '']), name, build) : undefined,
  );
}

const extreme = (pick: Pick): Operator =>
  operator({
    infer: (site) => inferExtreme(site, pick),
    gradient: extremeGradient,
    flops: ({ inputs }, [y]) => inputs.length * sizeOf(y),
  });

export const extremeOperators: OperatorRows = { Max: extreme(largerOf), Min: extreme(smallerOf) };
