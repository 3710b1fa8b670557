/** Operators that give the same numbers another shape: https://onnx.ai/onnx/operators/onnx__Reshape.html */
import type { Dimension } from '../../graph/graph.js';
import { reshapeLike } from '../broadcast.js';
import { productOf, quotientOf, unknownSize } from '../dimension.js';
import type { GraphBuilder } from '../graph-builder.js';
import { isGiven, knownNumbers, knownOf } from '../known.js';
import { view, type GradientSite, type Known, type OperatorRows, type Site } from '../operator.js';
import { axisOf, inputOf, intOf, intsOf, malformed, shapeOf, sizesOf } from '../site.js';

/** Element type and numbers of the first input under another shape. */
function reshaped(site: Site, shape: readonly Dimension[] | undefined): Known[] {
  const { dtype, elements } = inputOf(site, 0);
  return [knownOf(dtype, shape, elements)];
}

/** Sizes of unknown value, as many as a tensor of sizes has elements; undefined where even that is not known. */
export function unknownShape(site: Site, index: number): readonly Dimension[] | undefined {
  const rank = site.inputs[index]?.shape?.[0];
  if (typeof rank !== 'number') return undefined;
  return Array.from({ length: rank }, (_, axis) => unknownSize(site.node.name, `axis${axis}`));
}

function inferReshape(site: Site): Known[] {
  const { shape: from } = inputOf(site, 0);
  const elements = sizesOf(site, 1, -1);
  if (elements === undefined) return reshaped(site, unknownShape(site, 1));
  const copiesZero = intOf(site.node, 'allowzero', 0) === 0;
  const sizes = elements.map((size, axis): Dimension => {
    if (size !== 0 || !copiesZero) return size;
    if (from === undefined) return unknownSize(site.node.name, `axis${axis}`);
    const copied = from[axis];
    if (copied === undefined) throw malformed(site.node, `copies size ${axis} of a tensor of rank ${from.length}`);
    return copied;
  });
  if (sizes.indexOf(-1) !== sizes.lastIndexOf(-1))
    throw malformed(site.node, `leaves two sizes open: [${sizes.join(', ')}]`);
  const rest = productOf(sizes.filter((size) => size !== -1));
  const total = from === undefined ? undefined : productOf(from);
  const wrong = (): Error => malformed(site.node, `gives ${total ?? '?'} elements the shape [${sizes.join(', ')}]`);
  const inNumbers = typeof total === 'number' && typeof rest === 'number';
  if (!sizes.includes(-1)) {
    if (inNumbers && total !== rest) throw wrong();
    return reshaped(site, sizes);
  }
  const remaining = total === undefined ? undefined : quotientOf(total, rest);
  if (remaining === undefined && inNumbers) throw wrong();
  return reshaped(
    site,
    sizes.map((size) => (size === -1 ? (remaining ?? unknownSize(site.node.name, 'rest')) : size)),
  );
}

/** The axes that a node names, as an input or, in older files, an attribute. */
const namedAxes = (site: Site): readonly number[] | undefined => knownNumbers(site, 1) ?? intsOf(site.node, 'axes');

function inferSqueeze(site: Site): Known[] {
  const { shape } = inputOf(site, 0);
  const given = namedAxes(site);
  if (shape === undefined || (given === undefined && isGiven(site, 1))) return reshaped(site, undefined);
  const named = given?.map((axis) => axisOf(site.node, axis, shape.length));
  const wrong = named?.find((axis) => typeof shape[axis] === 'number' && shape[axis] !== 1);
  if (wrong !== undefined) throw malformed(site.node, `removes axis ${wrong}, which has size ${shape[wrong] ?? '?'}`);
  const axes = new Set(named ?? [...shape.keys()].filter((axis) => shape[axis] === 1));
  return reshaped(
    site,
    shape.filter((_, axis) => !axes.has(axis)),
  );
}

function inferUnsqueeze(site: Site): Known[] {
  const { shape } = inputOf(site, 0);
  const given = namedAxes(site);
  if (shape === undefined || given === undefined) return reshaped(site, undefined);
  const rank = shape.length + given.length;
  const axes = new Set(given.map((axis) => axisOf(site.node, axis, rank)));
  if (axes.size < given.length) throw malformed(site.node, `adds an axis twice: [${given.join(', ')}]`);
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
  if (split < 0 || split > shape.length)
    throw malformed(site.node, `splits at axis ${axis}, the rank is ${shape.length}`);
  return reshaped(site, [productOf(shape.slice(0, split)), productOf(shape.slice(split))]);
}

/** The gradient has the same numbers in the shape of the input. */
function backToShape({ node, outputGradients: [dy] }: GradientSite, build: GraphBuilder): string[] {
  return dy === undefined ? [] : [reshapeLike(dy, node.inputs[0] ?? '', build)];
}

export const reshapeOperators: OperatorRows = {
  Flatten: view({ infer: inferFlatten, gradient: backToShape }),
  Reshape: view({ infer: inferReshape, gradient: backToShape }),
  Squeeze: view({ infer: inferSqueeze, gradient: backToShape }),
  Unsqueeze: view({ infer: inferUnsqueeze, gradient: backToShape }),
};
