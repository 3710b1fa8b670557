/**
 * The forward part of a training step: the model's nodes, some of them in another form of the same numbers.
 * Over small planes a depthwise convolution or an average pool is a matrix product of the plane, which the runtime computes
 * many times faster than its own kernels for them when weights are not constant; the gradients then are products too.
 */
import { tensor } from '@graft/core/tensor';

import type { Node } from '../graph/graph.js';
import type { GraphBuilder } from '../operators/graph-builder.js';
import { convolutionOf } from '../operators/convolution/convolution.js';
import { formsOf } from '../operators/convolution/forms.js';
import { seenPlaces } from '../operators/convolution/window-places.js';
import type { Site } from '../operators/operator.js';
import { normalDistribution } from '../operators/pointwise/activations.js';
import { inputOf, intOf, shapeOf, stringOf } from '../operators/site.js';
import { fixedAxes, windowOf, type FixedAxis } from '../operators/window.js';

/** Input places times output places: above, the plane's matrix costs more than it saves. */
const planeEntries = 4096;

/** Taps times the entries that each fills, 4 MiB of float32: a window may be wider than its plane, since it may lie in padding. */
const windowEntries = 2 ** 20;

/**
 * Adds the nodes of a model to `build`; every value keeps its name.
 * Result: the nodes to differentiate. A convolution stays one for its gradients, which have forms of their own.
 */
export function addForward(nodes: readonly Node[], build: GraphBuilder): Node[] {
  return nodes.flatMap((node) => {
    const before = build.nodes.length;
    if (node.op === 'Conv' && node.domain === '' && addConvolution(node, build)) return [node];
    if (node.op === 'Gelu' && node.domain === '' && addGelu(node, build)) return [node];
    const plane = node.op === 'Conv' || node.op === 'AveragePool' ? planeOf(node, build) : undefined;
    if (plane === undefined) build.keep(node);
    else if (node.op === 'Conv') addDepthwise(plane, build);
    else addAverage(plane, build);
    return build.nodes.slice(before);
  });
}

/** Whether the convolution has another form, which then is added. */
function addConvolution(node: Node, build: GraphBuilder): boolean {
  const site = build.siteOf(node);
  const sizes = [...(site.inputs[0]?.shape?.slice(1) ?? ['?']), ...(site.inputs[1]?.shape ?? ['?'])];
  if (!sizes.every((size) => typeof size === 'number')) return false;
  const conv = convolutionOf(site);
  const { forward } = formsOf(conv, build.lowering);
  if (forward === undefined) return false;
  forward(conv, { bias: node.inputs[2] ?? '', output: node.outputs[0] ?? '' }, build);
  return true;
}

/** Exact Gelu as x Phi(x): its gradient needs Phi(x) too, which then is computed once. */
function addGelu(node: Node, build: GraphBuilder): boolean {
  const [x = ''] = node.inputs;
  if (stringOf(node, 'approximate', 'none') !== 'none' || build.typeOf(x).dtype !== 'float32') return false;
  build.addNamed('Mul', [x, normalDistribution(x, build).phi], { outputs: [...node.outputs] });
  return true;
}

interface Plane {
  readonly node: Node;
  readonly channels: number;
  readonly axes: readonly FixedAxis[];
  /** Places of the input, of the output, and taps of the kernel. */
  readonly places: number;
  readonly positions: number;
  readonly taps: number;
}

/** The plane of a node that is worth another form. */
function planeOf(node: Node, build: GraphBuilder): Plane | undefined {
  const site = build.siteOf(node);
  if (inputOf(site, 0).dtype !== 'float32') return undefined;
  const [, channels, ...spatial] = shapeOf(site, 0);
  if (typeof channels !== 'number' || spatial.length !== 2 || !spatial.every((size) => typeof size === 'number')) {
    return undefined;
  }
  if (node.op === 'Conv' && !isDepthwise(site, channels)) return undefined;
  if (intOf(node, 'ceil_mode', 0) === 1) return undefined;
  const axes = fixedAxes(site, windowOf(site, node.op === 'Conv' ? shapeOf(site, 1).slice(2) : []));
  const count = (pick: (axis: FixedAxis) => number): number => axes.reduce((product, axis) => product * pick(axis), 1);
  const plane = {
    node,
    channels,
    axes,
    places: count(({ input }) => input),
    positions: count(({ output }) => output),
    taps: count(({ kernel }) => kernel),
  };
  return isSmall(plane) ? plane : undefined;
}

/** A convolution has a matrix for each tap, an average a list of places. */
function isSmall({ node, places, positions, taps }: Plane): boolean {
  const perTap = node.op === 'Conv' ? places * positions : positions;
  return places * positions <= planeEntries && taps * perTap <= windowEntries;
}

function isDepthwise(site: Site, channels: number): boolean {
  return intOf(site.node, 'group', 1) === channels && channels > 1 && shapeOf(site, 1)[0] === channels;
}

/** y[c] = x[c] K[c] with K[c] = w[c] S, where S says which tap of the kernel joins a place and a position. */
function addDepthwise(plane: Plane, build: GraphBuilder): void {
  const { node, channels, axes, places, positions, taps } = plane;
  const [x = '', w = '', bias = ''] = node.inputs;
  const joins = new Float32Array(taps * places * positions);
  for (const [tap, seen] of seenPlaces(plane).entries()) {
    for (const [position, place] of seen.entries()) {
      if (place >= 0) joins[(tap * places + place) * positions + position] = 1;
    }
  }
  const kernels = build.add('MatMul', [
    build.add('Reshape', [w, build.ints([channels, taps])]),
    build.constant(tensor('float32', [taps, places * positions], joins)),
  ]);
  const planes = build.add('Reshape', [x, build.ints([-1, channels, places])]);
  const products = build.add('MatMul', [
    build.add('Transpose', [planes], { perm: [1, 0, 2] }),
    build.add('Reshape', [kernels, build.ints([channels, places, positions])]),
  ]);
  const examples = build.add('Transpose', [products], { perm: [1, 0, 2] });
  const shape = build.ints([-1, channels, ...axes.map(({ output }) => output)]);
  if (bias === '') {
    build.addNamed('Reshape', [examples, shape], { outputs: [...node.outputs] });
    return;
  }
  const column = build.add('Reshape', [bias, build.ints([channels, 1])]);
  build.addNamed('Reshape', [build.add('Add', [examples, column]), shape], { outputs: [...node.outputs] });
}

/** y = x P, where P holds each position's share of a place. */
function addAverage(plane: Plane, build: GraphBuilder): void {
  const { node, channels, axes, places, positions, taps } = plane;
  const countPadding = intOf(node, 'count_include_pad', 0) === 1;
  const shares = new Float32Array(places * positions);
  const seen = seenPlaces(plane);
  for (let position = 0; position < positions; position++) {
    const inside = seen.flatMap((tap) => ((tap[position] ?? -1) >= 0 ? [tap[position] ?? 0] : []));
    for (const place of inside) shares[place * positions + position] = 1 / (countPadding ? taps : inside.length);
  }
  const [x = ''] = node.inputs;
  const matrix = build.constant(tensor('float32', [places, positions], shares));
  const averages = build.add('MatMul', [build.add('Reshape', [x, build.ints([-1, places])]), matrix]);
  build.addNamed('Reshape', [averages, build.ints([-1, channels, ...axes.map(({ output }) => output)])], {
    outputs: [...node.outputs],
  });
}
