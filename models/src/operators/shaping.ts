/** Operators that give the same numbers another shape or order: https://onnx.ai/onnx/operators/onnx__Reshape.html */
import type { Dimension } from '../graph/graph.js';
import { broadcast, reshapeLike, unbroadcast } from './broadcast.js';
import { productOf, quotientOf } from './dimension.js';
import type { GraphBuilder } from './graph-builder.js';
import { movement, type GradientSite, type Known, type OperatorRows, type Site } from './operator.js';
import { axisOf, inputOf, intOf, intsOf, malformed, numbersOf, shapeOf, unsupported } from './site.js';

/** Element type and numbers of the first input under another shape. */
function reshaped(site: Site, shape: readonly Dimension[]): Known[] {
  const { dtype, elements } = inputOf(site, 0);
  return [{ dtype, shape, ...(elements && { elements }) }];
}

function inferReshape(site: Site): Known[] {
  const from = shapeOf(site, 0);
  const { elements } = inputOf(site, 1);
  if (elements === undefined) throw unsupported(site.node, 'takes a shape that is not known before it runs');
  const copiesZero = intOf(site.node, 'allowzero', 0) === 0;
  const sizes = elements.map((size, axis) => {
    if (size !== 0 || !copiesZero) return size;
    const copied = from[axis];
    if (copied === undefined) throw malformed(site.node, `copies size ${axis} of a tensor of rank ${from.length}`);
    return copied;
  });
  const total = productOf(from);
  const rest = productOf(sizes.filter((size) => size !== -1));
  if (!sizes.includes(-1)) {
    if (typeof total === 'number' && typeof rest === 'number' && total !== rest) {
      throw malformed(site.node, `gives ${total} elements the shape [${sizes.join(', ')}]`);
    }
    return reshaped(site, sizes);
  }
  const remaining = quotientOf(total, rest);
  if (remaining === undefined && typeof total === 'number' && typeof rest === 'number') {
    throw malformed(site.node, `gives ${total} elements the shape [${sizes.join(', ')}]`);
  }
  return reshaped(
    site,
    sizes.map((size) => (size === -1 ? (remaining ?? `${site.node.name}:rest`) : size)),
  );
}

function inferSqueeze(site: Site): Known[] {
  const shape = shapeOf(site, 0);
  const given = numbersOf(site, 1)?.map((axis) => axisOf(site.node, axis, shape.length));
  const axes = new Set(given ?? [...shape.keys()].filter((axis) => shape[axis] === 1));
  return reshaped(
    site,
    shape.filter((_, axis) => !axes.has(axis)),
  );
}

function inferUnsqueeze(site: Site): Known[] {
  const shape = shapeOf(site, 0);
  const given = numbersOf(site, 1) ?? [];
  const rank = shape.length + given.length;
  const axes = new Set(given.map((axis) => axisOf(site.node, axis, rank)));
  const rest = shape.values();
  return reshaped(
    site,
    Array.from({ length: rank }, (_, axis) => (axes.has(axis) ? 1 : (rest.next().value ?? 1))),
  );
}

function inferFlatten(site: Site): Known[] {
  const shape = shapeOf(site, 0);
  const axis = intOf(site.node, 'axis', 1);
  const split = axis < 0 ? axis + shape.length : axis;
  return reshaped(site, [productOf(shape.slice(0, split)), productOf(shape.slice(split))]);
}

function permutation(site: Site): readonly number[] {
  return intsOf(site.node, 'perm') ?? [...shapeOf(site, 0).keys()].reverse();
}

function inferTranspose(site: Site): Known[] {
  const shape = shapeOf(site, 0);
  const perm = permutation(site);
  if (perm.length !== shape.length)
    throw malformed(site.node, `permutes ${perm.length} axes, the rank is ${shape.length}`);
  return [
    { dtype: inputOf(site, 0).dtype, shape: perm.map((axis) => shape[axisOf(site.node, axis, shape.length)] ?? 1) },
  ];
}

function inferShape(site: Site): Known[] {
  const shape = shapeOf(site, 0);
  const end = site.node.attributes['end'];
  const elements = shape.slice(intOf(site.node, 'start', 0), end?.kind === 'int' ? end.value : undefined);
  return [{ dtype: 'int64', shape: [elements.length], elements }];
}

function inferExpand(site: Site): Known[] {
  const { elements } = inputOf(site, 1);
  if (elements === undefined) throw unsupported(site.node, 'takes a shape that is not known before it runs');
  return [{ dtype: inputOf(site, 0).dtype, shape: broadcast(site, [shapeOf(site, 0), elements]) }];
}

function inferConstantOfShape(site: Site): Known[] {
  const { elements } = inputOf(site, 0);
  if (elements === undefined) throw unsupported(site.node, 'takes a shape that is not known before it runs');
  const value = site.node.attributes['value'];
  return [{ dtype: value?.kind === 'tensor' ? value.value.dtype : 'float32', shape: elements }];
}

/** The gradient has the same numbers in the shape of the input. */
function backToShape({ node, outputGradients: [dy] }: GradientSite, build: GraphBuilder): string[] {
  return dy === undefined ? [] : [reshapeLike(dy, node.inputs[0] ?? '', build)];
}

export const shapingOperators: OperatorRows = {
  Reshape: movement({ infer: inferReshape, gradient: backToShape }),
  Flatten: movement({ infer: inferFlatten, gradient: backToShape }),
  Squeeze: movement({ infer: inferSqueeze, gradient: backToShape }),
  Unsqueeze: movement({ infer: inferUnsqueeze, gradient: backToShape }),
  Transpose: movement({
    infer: inferTranspose,
    gradient: (site, build) => {
      const [dy] = site.outputGradients;
      const perm = permutation(site);
      return dy === undefined
        ? []
        : [build.add('Transpose', [dy], { perm: perm.map((_, axis) => perm.indexOf(axis)) })];
    },
  }),
  Expand: movement({
    infer: inferExpand,
    gradient: ({ node, outputGradients: [dy] }, build) =>
      dy === undefined ? [] : [unbroadcast(dy, node.inputs[0] ?? '', build)],
  }),
  Shape: movement({ infer: inferShape, gradient: 'not differentiable' }),
  Size: movement({
    infer: (site) => [{ dtype: 'int64', shape: [], elements: [productOf(shapeOf(site, 0))] }],
    gradient: 'not differentiable',
  }),
  ConstantOfShape: movement({ infer: inferConstantOfShape, gradient: 'not differentiable' }),
};
