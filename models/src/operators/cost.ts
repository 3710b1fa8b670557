/** What running a graph once costs: arithmetic, bytes moved and the most memory that is held at a time, from the operator table. */

import { namesRead } from '../graph/captures.js';
import { bytesOfElement } from '../graph/element-type.js';
import type { Model } from '../graph/graph.js';
import { scopeOf, type InputShapes } from './infer-shapes.js';
import { sizeOf, type Known } from './operator.js';
import { operatorOf } from './operator-table.js';

export interface GraphCost {
  /** Floating-point operations, a multiplication and an addition counted as two. */
  readonly flops: number;
  /** Bytes that the operators read and write. */
  readonly bytes: number;
  /** Bytes of all weights. */
  readonly weightBytes: number;
  /** The most that inputs and intermediate values occupy at one time, each freed after its last use; weights not counted. */
  readonly peakBytes: number;
}

/**
 * Costs of one run with inputs of these shapes; dimensions that stay symbols count as 1, so give the batch as a number.
 * Throws what inferShapes throws.
 */
export function costOf(model: Model, inputShapes: InputShapes = {}): GraphCost {
  const scope = scopeOf(model, inputShapes);
  const { graph } = model;
  let [flops, bytes] = [0, 0];
  for (const node of graph.nodes) {
    const row = operatorOf(node);
    const site = scope.siteOf(node);
    const outputs = node.outputs.map((name): Known => (name === '' ? { dtype: 'bool', shape: [0] } : scope.of(name)));
    flops += row.flops(site, outputs);
    bytes += row.bytes(site, outputs);
  }
  const sizes = (name: string): number => bytesOf(scope.of(name));
  return {
    flops,
    bytes,
    weightBytes: graph.weights.reduce((sum, { name }) => sum + sizes(name), 0),
    peakBytes: peakOf(model, sizes),
  };
}

function bytesOf(known: Known): number {
  return sizeOf(known) * bytesOfElement(known.dtype);
}

/** Liveness in the order of the nodes: a value lives from its node to the last node that reads it, outputs to the end. */
function peakOf({ graph }: Model, sizes: (name: string) => number): number {
  const lastUse = new Map<string, number>();
  for (const [at, node] of graph.nodes.entries()) for (const name of namesRead(node)) lastUse.set(name, at);
  for (const { name } of graph.outputs) lastUse.set(name, graph.nodes.length);
  const weights = new Set(graph.weights.map(({ name }) => name));
  let live = graph.inputs.reduce((sum, { name }) => sum + sizes(name), 0);
  let peak = live;
  for (const [at, node] of graph.nodes.entries()) {
    for (const name of node.outputs) if (name !== '') live += sizes(name);
    peak = Math.max(peak, live);
    for (const name of new Set(namesRead(node)))
      if (!weights.has(name) && lastUse.get(name) === at) live -= sizes(name);
    for (const name of node.outputs) if (name !== '' && !lastUse.has(name)) live -= sizes(name);
  }
  return peak;
}
