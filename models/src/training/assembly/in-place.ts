/** Which tensors of a training step may be written over the ones they come from, in the buffer that is fed. */
import { namesRead } from '../../graph/captures.js';
import type { Node } from '../../graph/graph.js';
import { slotsOf, type TrainingStep } from '../training-step.js';

/**
 * Inputs of slots whose output may be written into the input's own buffer: everything that reads the input is needed for the output, so that
 * it is read, whatever the order in which a runtime takes the nodes, before it is overwritten. True of optimizer state always, and of weights
 * that are updated together where nothing else reads them later; all weights have it with clipping, since the norm needs every gradient.
 * Others need a second buffer.
 */
export function inPlaceInputs(step: TrainingStep): Set<string> {
  const { nodes } = step.graph;
  const maker = new Map(nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  const readers = new Map<string, Node[]>();
  for (const node of nodes) {
    for (const name of new Set(namesRead(node))) {
      const known = readers.get(name);
      if (known === undefined) readers.set(name, [node]);
      else known.push(node);
    }
  }
  const safe = slotsOf(step).filter(({ input, output }) => {
    const last = maker.get(output);
    if (last === undefined) return false;
    const needed = ancestorsOf(last, maker);
    const aliases = withViews(input, readers);
    return aliases.every((name) => (readers.get(name) ?? []).every((node) => needed.has(node)));
  });
  return new Set(safe.map(({ input }) => input));
}

/** The node and all that it needs. */
function ancestorsOf(last: Node, maker: ReadonlyMap<string, Node>): Set<Node> {
  const found = new Set([last]);
  const open = [last];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    for (const name of namesRead(node)) {
      const before = maker.get(name);
      if (before === undefined || found.has(before)) continue;
      found.add(before);
      open.push(before);
    }
  }
  return found;
}

/** Operators whose result a runtime may leave in the memory of their input. */
const views: ReadonlySet<string> = new Set(['Reshape', 'Identity', 'Squeeze', 'Unsqueeze', 'Flatten', 'Split']);

/** A value and everything that may share its memory. */
function withViews(value: string, readers: ReadonlyMap<string, readonly Node[]>): string[] {
  const found = [value];
  for (const name of found) {
    for (const node of readers.get(name) ?? [])
      if (views.has(node.op) && node.inputs[0] === name) found.push(...node.outputs);
  }
  return found;
}
